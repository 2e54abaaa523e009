# The tail that was seen last is taken for the last that was stored.
s|handoff_ring_look\(&producer->ring\) != producer->ring.head|producer->ring.tail != producer->ring.head|
