// SPDX-License-Identifier: MIT
//
// Windows: UNTESTED. Cpus are those of the thread's group, 64 at most. There is no SO_REUSEPORT.

#define WIN32_LEAN_AND_MEAN
#include "bus.h"

#include <errno.h>
#include <string.h>
#include <windows.h>

int32_t bus_thread_id(void) {
  return (int32_t)GetCurrentThreadId();
}

int32_t bus_set_thread_name(const char *name) {
  wchar_t wide[BUS_NAME_BYTES];
  if (MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, BUS_NAME_BYTES) == 0) return -EINVAL;
  return SUCCEEDED(SetThreadDescription(GetCurrentThread(), wide)) ? 0 : -EINVAL;
}

int32_t bus_set_affinity(const uint8_t *mask, size_t length) {
  uint64_t bits = 0;
  if (length > sizeof bits) return -EINVAL;
  memcpy(&bits, mask, length);
  return SetThreadAffinityMask(GetCurrentThread(), (DWORD_PTR)bits) != 0 ? 0 : -EINVAL;
}

// There is no way to ask but to set one and be told what was there.
int32_t bus_get_affinity(uint8_t *mask, size_t length) {
  DWORD_PTR process, machine;
  if (length < sizeof(uint64_t)) return -EINVAL;
  if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine)) return -EINVAL;
  const DWORD_PTR before = SetThreadAffinityMask(GetCurrentThread(), process);
  if (before == 0) return -EINVAL;
  SetThreadAffinityMask(GetCurrentThread(), before);
  const uint64_t bits = before;
  memcpy(mask, &bits, sizeof bits);
  return (int32_t)sizeof bits;
}
