/* SPDX-License-Identifier: Apache-2.0 */
#include "spantap/spantap.h"

const char* spantap_status_text(spantap_status status) {
  switch (status) {
    case SPANTAP_OK:
      return "done";
    case SPANTAP_INVALID:
      return "an argument is missing, out of range or contradictory";
    case SPANTAP_NO_AGENT:
      return "no agent is attached";
    case SPANTAP_FULL:
      return "the ring is full: the agent has not kept up";
    case SPANTAP_TOO_LARGE:
      return "larger than a stated limit";
    case SPANTAP_ENDED:
      return "the span has been ended before";
    case SPANTAP_WRONG_THREAD:
      return "the producer belongs to another thread";
    case SPANTAP_MALFORMED:
      return "the header's value is not well formed";
    case SPANTAP_NO_SPACE:
      return "the caller's memory is too small";
    case SPANTAP_NO_MEMORY:
      return "the system gives no memory or descriptor";
    case SPANTAP_CLOSED:
      return "the client has been closed";
    case SPANTAP_UNSUPPORTED:
      return "not in this library, this mode or this kernel";
    case SPANTAP_TIMEOUT:
      return "not done within the time given";
    default:
      return status > 0 ? "done" : "unknown status";
  }
}

uint32_t spantap_api_version(void) { return SPANTAP_API_VERSION; }

const char* spantap_version(void) { return SPANTAP_VERSION; }
