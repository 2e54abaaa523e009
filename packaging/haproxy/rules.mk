# SPDX-License-Identifier: Apache-2.0
# spantap_haproxy.so, a Lua module, and the script that loads it. Lua itself is the one that HAProxy has loaded.
HAPROXY_MODULE   := $(BUILD)/lib/spantap_haproxy.so
HAPROXY_SCRIPT   := $(BUILD)/lib/spantap_haproxy.lua
ADAPTERS         += $(HAPROXY_MODULE) $(HAPROXY_SCRIPT)
ADAPTER_PACKAGES += liblua5.3-dev=5.3
HAPROXY_C        := $(wildcard packaging/haproxy/*.c)
.PHONY: adapter-haproxy
adapter-haproxy: deps-build
	$(Q)tests/setup/install_packages.sh liblua5.3-dev=5.3
	$(Q)$(MAKE) --no-print-directory $(HAPROXY_MODULE) $(HAPROXY_SCRIPT)
$(BUILD)/obj/packaging/haproxy/%.c.o: packaging/haproxy/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CC) $(CPPFLAGS) -I/usr/include/lua5.3 $(CFLAGS) -D_GNU_SOURCE -fPIC -MMD -MP -c $< -o $@
$(HAPROXY_MODULE): $(HAPROXY_C:%=$(BUILD)/obj/%.o) packaging/haproxy/haproxy.map $(LIBSPANTAP)
	$(call msg,LINK,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,spantap_haproxy.so -Wl,--version-script=packaging/haproxy/haproxy.map \
	    -Wl,-rpath,'$$ORIGIN' -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now -o $@ $(filter %.o,$^) $(LIBSPANTAP)
$(HAPROXY_SCRIPT): packaging/haproxy/spantap.lua
	$(call msg,COPY,$@)
	$(Q)mkdir -p $(@D) && cp $< $@
