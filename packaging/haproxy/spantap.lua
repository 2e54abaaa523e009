-- SPDX-License-Identifier: Apache-2.0
-- Loads spantap_haproxy.so, which lies beside this file, and registers what the configuration uses (README.md).
-- In haproxy.cfg, section global, after any setenv SPANTAP_...: lua-load-per-thread /path/of/spantap_haproxy.lua
local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local open, reason = package.loadlib(folder .. "/spantap_haproxy.so", "luaopen_spantap_haproxy")
if not open then
  error("spantap: " .. reason, 0)
end
local spantap = open()

core.register_converters("spantap_request", spantap.request)
core.register_converters("spantap_result", spantap.result)
if spantap.enabled then
  core.register_task(function()
    while true do
      core.msleep(spantap.timer() and 1000 or 250)
    end
  end)
end
