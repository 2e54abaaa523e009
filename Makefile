# SPDX-License-Identifier: Apache-2.0
# The only build file. `make help` lists the targets; V=1 shows whole commands; SAN=1 builds with
# ASan+UBSan in a directory of its own. Everything made lies under build/.

# ---------------------------------------------------------------- settings
VERSION   := 0.1.0
BUILD     := build$(if $(SAN),/san)
CACHE     ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/spantap
prefix    ?= /usr/local
Q         := $(if $(V),,@)
msg        = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')
export PATH := $(PATH):/usr/sbin

# ---------------------------------------------------------------- tools and flags
CC        ?= gcc
CXX       ?= g++
CLANG     ?= clang-14
BPFTOOL   ?= bpftool
CCACHE    := $(shell command -v ccache)
SANFLAGS  := $(if $(SAN),-fsanitize=address$(,)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
WARN      := -Wall -Wextra -Werror -Wno-unused-parameter
OPT       := $(if $(SAN),-O1,-O2) -g
NANOPB    := $(BUILD)/third_party/nanopb
CPPFLAGS  += -I. -Iinclude -I$(BUILD)/gen -DSPANTAP_VERSION='"$(VERSION)"'
CFLAGS    += -std=c11 $(OPT) $(WARN) -fvisibility=hidden $(SANFLAGS)
CXXFLAGS  += -std=c++20 $(OPT) $(WARN) -fno-plt $(SANFLAGS)
LDFLAGS   += $(SANFLAGS) -Wl,--as-needed
ABSL      := absl_status absl_statusor absl_strings absl_str_format absl_flat_hash_map absl_synchronization absl_time
LIBS       = $(shell pkg-config --libs $(ABSL)) -lcurl -ldeflate -lbpf -lspdlog -lfmt -lz -pthread
, := ,

.DELETE_ON_ERROR:
.SECONDEXPANSION:
.PHONY: all deps test demo bench soak fuzz accuracy lint format install clean help unit
all: $(BUILD)/bin/spantap

# ---------------------------------------------------------------- stages
# One static library per stage; the list is the link order and the allowed direction of includes
# (a stage may include itself and what stands to the right of it; `make lint` checks).
AGENT_STAGES    := agent/cli agent/view agent/spans agent/link agent/connections agent/protocols agent/capture
EXPORTER_STAGES := exporter/send exporter/otlp exporter/model
STAGES          := $(AGENT_STAGES) $(EXPORTER_STAGES)
lib              = $(BUILD)/lib/lib$(subst /,_,$(1)).a
STAGE_LIBS      := $(foreach s,$(STAGES),$(call lib,$(s)))
objects          = $(patsubst %,$(BUILD)/obj/%.o,$(wildcard $(1)/*.cc))

define stage_rule
$(call lib,$(1)): $(call objects,$(1))
endef
$(foreach s,$(STAGES),$(eval $(call stage_rule,$(s))))
$(BUILD)/lib/%.a:
	$(call msg,AR,$@)
	$(Q)mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/obj/%.cc.o: %.cc
	$(call msg,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c $< -o $@
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---------------------------------------------------------------- bpf
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_FLAGS   := -target bpf -O2 -g -Wall -Werror -D__TARGET_ARCH_x86 -I. -I/usr/include/$(shell uname -m)-linux-gnu
$(BUILD)/bpf/%.o: bpf/%.c $(wildcard bpf/*.h)
	$(call msg,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_FLAGS) -c $< -o $@
$(BUILD)/gen/spantap.skel.h: $(patsubst bpf/%.c,$(BUILD)/bpf/%.o,$(BPF_SOURCES))
	$(call msg,SKEL,$@)
	$(Q)mkdir -p $(@D) && $(BPFTOOL) gen object $(BUILD)/bpf/spantap.linked.o $^ && \
	    $(BPFTOOL) gen skeleton $(BUILD)/bpf/spantap.linked.o name spantap_bpf > $@
$(BUILD)/obj/agent/capture/bpf_source.cc.o: $(BUILD)/gen/spantap.skel.h

# ---------------------------------------------------------------- third party, built from packages
LLHTTP_SRC := /usr/share/llhttp
$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SRC)/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CC) -O2 -g $(SANFLAGS) -I/usr/share/include/llhttp -c $< -o $@
$(call lib,agent/protocols): $(patsubst %,$(BUILD)/obj/llhttp/%.o,api http llhttp)
$(BUILD)/obj/agent/protocols/%: CPPFLAGS += -I/usr/share/include/llhttp

# ---------------------------------------------------------------- programs
$(BUILD)/bin/spantap: $(BUILD)/obj/agent/main.cc.o $(BUILD)/obj/agent/pipeline.cc.o $(STAGE_LIBS)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ $(LIBS)

# ---------------------------------------------------------------- unit tests: one binary per stage
test_bin   = $(BUILD)/test/$(subst /,_,$(1))
TEST_AREAS := $(foreach s,$(STAGES) bpf agent,$(if $(wildcard tests/$(s)/*.cc),$(s)))
define test_rule
$(call test_bin,$(1)): $(call objects,tests/$(1)) $(BUILD)/obj/tests/main.cc.o \
    $(if $(filter agent,$(1)),$(BUILD)/obj/agent/pipeline.cc.o) $(if $(filter $(1),$(STAGES)),$(foreach s,$(shell echo $(STAGES) | sed 's|.*\($(1)\)|\1|'),$(call lib,$(s))),$(STAGE_LIBS))
	$$(call msg,LINK,$$@)
	$$(Q)mkdir -p $$(@D) && $$(CXX) $$(LDFLAGS) -o $$@ $$^ $$(LIBS) $$(TEST_LIBS)
endef
$(foreach a,$(TEST_AREAS),$(eval $(call test_rule,$(a))))
unit: $(foreach a,$(TEST_AREAS),$(call test_bin,$(a)))
	$(Q)for t in $^; do echo "$$t:"; $$t || exit 1; done

clean:
	rm -rf build
