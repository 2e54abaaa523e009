# Room is given back before the records in it are copied.
s|^  for \(size_t i = 0; i < max_records|  __atomic_store_n(\&ring_->tail, head, __ATOMIC_RELEASE);\n&|
