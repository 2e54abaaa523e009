// SPDX-License-Identifier: Apache-2.0
//
// A lock that threads of the host take. Not absl::Mutex: that has spin locks of the whole process behind it, and a
// child of fork() finds them as another thread of its parent held them.
#pragma once

#include <pthread.h>

#include "absl/base/thread_annotations.h"

namespace spantap {

class ABSL_LOCKABLE HostMutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { pthread_mutex_lock(&mutex_); }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return pthread_mutex_trylock(&mutex_) == 0; }
  void Unlock() ABSL_UNLOCK_FUNCTION() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

class ABSL_SCOPED_LOCKABLE HostLock {
 public:
  explicit HostLock(HostMutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_->Lock(); }
  HostLock(const HostLock&) = delete;
  ~HostLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }

 private:
  HostMutex* const mutex_;
};

}  // namespace spantap
