"""How a Kineto file becomes columns.

opening    the bytes: plain, gzip, standard input, an address
outline    what stands before and after the list of events
pieces     the list of events, cut where one event ends
decoding   a piece to structs, and what to do where that fails: repair
columns    structs to numpy columns, exactly: fields
tables     structs to side tables
workers    pieces over processes
assembly   columns of all pieces to one Trace
"""
