// SPDX-License-Identifier: Apache-2.0
#include "agent/run/viewing.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace spantap {

bool WantsView(const Settings& settings) {
  if (settings.command == Command::kReplay) return settings.json || settings.exporter.endpoints.empty();
  return settings.command == Command::kTrace;
}

ViewSettings ViewFor(const Settings& settings) {
  ViewSettings view;
  view.json = settings.json;
  view.style = settings.style;
  view.terminal = !settings.json && isatty(STDOUT_FILENO);
  winsize size = {};
  if (view.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) view.columns = size.ws_col;
  return view;
}

}  // namespace spantap
