"""Downloads: resumed, checked, unpacked."""
