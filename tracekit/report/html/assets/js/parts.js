// What a page may hold beside text, tables and charts: its modules enter themselves here.

/** Each may have: draw() once the text is there, show(id, state) what an address asks for, find() entries of the search. */
export const parts = [];

/** Shows what an address asks of a part; false where none knows the id. */
export const showPart = (id, state) => parts.some(part => part.show?.(id, state));
