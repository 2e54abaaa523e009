# A pad moves on by one header only.
s|^    if \(bytes != to_end\) return false;|    tail_ += 8; return true;|
