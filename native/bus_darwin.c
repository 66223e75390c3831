// SPDX-License-Identifier: MIT
//
// macOS: UNTESTED. It has names and numbers of threads; it pins none, and its SO_REUSEPORT gives
// every connection to one of the listeners.

#include "bus.h"

#include <pthread.h>

int32_t bus_thread_id(void) {
  uint64_t id = 0;
  pthread_threadid_np(NULL, &id);
  return (int32_t)id;
}

int32_t bus_set_thread_name(const char *name) {
  return -pthread_setname_np(name);
}
