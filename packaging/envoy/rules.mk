# SPDX-License-Identifier: Apache-2.0
# libspantap_envoy.so: needs nothing but the compiler; Envoy itself brings what it calls.
ENVOY_MODULE := $(BUILD)/lib/libspantap_envoy.so
ADAPTERS     += $(ENVOY_MODULE)
ENVOY_C      := $(wildcard packaging/envoy/*.c)
.PHONY: adapter-envoy
adapter-envoy: deps-build
	$(Q)$(MAKE) --no-print-directory $(ENVOY_MODULE)
$(BUILD)/obj/packaging/envoy/%.c.o: packaging/envoy/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c $< -o $@
$(ENVOY_MODULE): $(ENVOY_C:%=$(BUILD)/obj/%.o) packaging/envoy/envoy.map $(LIBSPANTAP)
	$(call msg,LINK,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,libspantap_envoy.so -Wl,--version-script=packaging/envoy/envoy.map \
	    -Wl,-rpath,'$$ORIGIN' -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now -o $@ $(filter %.o,$^) $(LIBSPANTAP) -pthread
