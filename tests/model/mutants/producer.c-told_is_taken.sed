# Drops that were told are taken for drops that an agent has in its books.
s|^  \*told_before = taken_count.*|  (void)taken_count; *told_before = count;|
