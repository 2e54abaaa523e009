# What a dead agent has not read is forgotten.
s|at = old->tail;|at = old->head;|
