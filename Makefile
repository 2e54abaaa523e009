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
# The sanitized build is clang's: half the time of gcc's, and the same objects serve the fuzz targets.
CLANG     ?= clang-14
ifdef SAN
CC        := clang-14
CXX       := clang++-14
else
CC        ?= gcc
CXX       ?= g++
endif
BPFTOOL   ?= bpftool
CCACHE    := $(shell command -v ccache)
export CCACHE_NOHASHDIR := 1
export CCACHE_SLOPPINESS := pch_defines,time_macros
SANFLAGS   = $(if $(SAN),-fsanitize=fuzzer-no-link$(,)address$(,)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
# gcc 12 sees overflows in its own std::string (its bug 105651).
WARN      := -Wall -Wextra -Werror -Wno-unused-parameter $(if $(SAN),,-Wno-array-bounds -Wno-restrict -Wno-stringop-overread -Wno-stringop-overflow)
OPT       := $(if $(SAN),-O1 -g1,-O3 -g1 -DNDEBUG)
NANOPB    := $(BUILD)/third_party/nanopb
CPPFLAGS  += -I. -Iinclude -I$(BUILD)/gen -DSPANTAP_VERSION='"$(VERSION)"'
# Position-independent, because the exporter is in a shared library, too; nothing is compiled twice.
PIC       := -fPIC -fno-semantic-interposition
CFLAGS    += -std=c11 $(OPT) $(WARN) $(PIC) -fvisibility=hidden $(SANFLAGS)
CXXFLAGS  += -std=c++20 $(OPT) $(WARN) $(PIC) -fno-plt $(SANFLAGS)
LDFLAGS   += $(SANFLAGS) -Wl,--as-needed
ABSL      := absl_status absl_statusor absl_strings absl_str_format absl_flat_hash_map absl_synchronization absl_time
LIBS       = $(shell pkg-config --libs $(ABSL)) -lcurl -lssl -lcrypto -ldeflate -lzstd -lbpf -lspdlog -lfmt -lyaml-cpp \
    -lprometheus-cpp-core -pthread
# Of what runs as shipped; the sanitizers bring their own.
MALLOC    := $(if $(SAN),,-ljemalloc)
, := ,

.DELETE_ON_ERROR:
.SECONDEXPANSION:

.PHONY: all musl doc deps deps-build deps-test deps-tried test-programs fuzz-programs bench-programs accuracy-programs test demo bench soak fuzz accuracy accuracy-fit adapters lint format install clean help unit
all: $(BUILD)/bin/spantap $(BUILD)/lib/libspantap.so $(BUILD)/lib/libspantap-embedded.so

# ---------------------------------------------------------------- stages
# One static library per stage; the list is the link order and the allowed direction of includes
# (a stage may include itself and what stands to the right of it; `make lint` checks).
AGENT_STAGES    := agent/run agent/serve agent/cli agent/view agent/handoff agent/spans agent/link agent/cause agent/connections agent/protocols agent/capture
EXPORTER_STAGES := exporter/embedded exporter/send exporter/spool exporter/transport exporter/otlp exporter/intake exporter/model
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

$(BUILD)/obj/%.cc.o: %.cc $$(PCH)
	$(call msg,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CXX) $(CPPFLAGS) $(CXXFLAGS) $(PCH_USE) -MMD -MP -c $< -o $@
# The headers that nearly all include, compiled once: less than half the time of a build.
PCH_SUFFIX := $(if $(SAN),pch,gch)
PCH_FLAGS  := $(if $(SAN),-Xclang -fno-pch-timestamp,-fpch-preprocess)
BASE_PCH   := $(BUILD)/pch/base.h.$(PCH_SUFFIX)
TEST_PCH   := $(BUILD)/pch/test.h.$(PCH_SUFFIX)
PCH         = $(BASE_PCH)
PCH_USE     = $(PCH_FLAGS) -include $(PCH:.$(PCH_SUFFIX)=)
$(BASE_PCH): include/base/precompiled.h
$(TEST_PCH): tests/precompiled.h include/base/precompiled.h
$(BASE_PCH) $(TEST_PCH):
	$(call msg,PCH,$@)
	$(Q)mkdir -p $(@D) && cp $< $(@:.$(PCH_SUFFIX)=) && $(CXX) $(CPPFLAGS) $(CXXFLAGS) $(PCH_FLAGS) -x c++-header $< -o $@.new && mv $@.new $@
UNIT_TEST_OBJECTS := $(BUILD)/obj/tests/agent/% $(BUILD)/obj/tests/exporter/% $(BUILD)/obj/tests/bpf/%
# Tests spend their time in the stages: what is compiled once a run need not be optimised.
$(UNIT_TEST_OBJECTS) $(TEST_PCH): OPT := -O0 -g1
$(UNIT_TEST_OBJECTS): PCH = $(TEST_PCH)
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---------------------------------------------------------------- bpf
# maps.bpf.c first: libbpf 1.1's linker loses maps that are used before the file that defines them.
BPF_SOURCES := bpf/maps.bpf.c $(filter-out bpf/maps.bpf.c,$(wildcard bpf/*.bpf.c))
BPF_FLAGS   := -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_x86 -I. -I/usr/include/$(shell uname -m)-linux-gnu
$(BUILD)/bpf/%.o: bpf/%.c $(wildcard bpf/*.h)
	$(call msg,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_FLAGS) -c $< -o $@
$(BUILD)/gen/spantap.skel.h: $(patsubst bpf/%.c,$(BUILD)/bpf/%.o,$(BPF_SOURCES))
	$(call msg,SKEL,$@)
	$(Q)mkdir -p $(@D) && $(BPFTOOL) gen object $(BUILD)/bpf/spantap.linked.o $^ && \
	    { echo '/* NOLINTBEGIN: generated */'; $(BPFTOOL) gen skeleton $(BUILD)/bpf/spantap.linked.o name spantap_bpf && \
	      echo '/* NOLINTEND */'; } > $@
$(BUILD)/obj/agent/capture/bpf_programs.cc.o: $(BUILD)/gen/spantap.skel.h

# ---------------------------------------------------------------- third party, built from packages
LLHTTP_SRC := /usr/share/llhttp
$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SRC)/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CC) -O2 -g $(SANFLAGS) -I/usr/share/include/llhttp -c $< -o $@
$(call lib,agent/protocols): $(patsubst %,$(BUILD)/obj/llhttp/%.o,api http llhttp)
$(BUILD)/obj/agent/protocols/% $(BUILD)/obj/tests/fuzz/%: CPPFLAGS += -I/usr/share/include/llhttp

# nanopb: its core and what its generator makes of our .proto files, all with one set of flags (they
# change pb_ostream_t, so the distribution's archive must never be mixed in).
NANOPB_FLAGS := -DPB_BUFFER_ONLY -DPB_NO_ERRMSG -DPB_NO_ENCODE_SIZE_CHECK=1 -I$(NANOPB) -I$(BUILD)/gen/nanopb
NANOPB_SRC   := $(foreach f,encode decode common,$(NANOPB)/pb_$(f).c)
PROTO_DIR    := exporter/otlp/proto
PROTOS       := $(shell cd $(PROTO_DIR) && find * -name '*.proto')
NANOPB_GEN   := $(PROTOS:%.proto=$(BUILD)/gen/nanopb/%.npb.c)
$(NANOPB)/.unpacked:
	$(call msg,UNPACK,nanopb)
	$(Q)exporter/otlp/fetch_nanopb.sh $(CACHE)/nanopb_0.4.7.orig.tar.gz $(@D) && touch $@
$(BUILD)/gen/nanopb/.generated: $(PROTOS:%=$(PROTO_DIR)/%) $(NANOPB)/.unpacked
	$(call msg,NANOPB,$(PROTO_DIR))
	$(Q)mkdir -p $(@D) && /usr/bin/python3 $(NANOPB)/generator/nanopb_generator.py -q -e .npb -I $(PROTO_DIR) -D $(@D) $(PROTOS) && touch $@
$(NANOPB_SRC): $(NANOPB)/.unpacked ;
$(NANOPB_GEN): $(BUILD)/gen/nanopb/.generated ;
$(BUILD)/obj/nanopb/%.o: $(BUILD)/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CC) $(NANOPB_FLAGS) -O3 -g $(PIC) -fvisibility=hidden $(SANFLAGS) -c $< -o $@
$(call lib,exporter/otlp): $(patsubst $(BUILD)/%.c,$(BUILD)/obj/nanopb/%.o,$(NANOPB_SRC) $(NANOPB_GEN))
$(BUILD)/obj/exporter/otlp/%: CPPFLAGS += $(NANOPB_FLAGS)
$(call objects,exporter/otlp): | $(BUILD)/gen/nanopb/.generated

# protobuf C++ of the same files: the oracle of tests and benchmarks, never part of a program.
ORACLE    := $(BUILD)/lib/liboracle.a
TEST_LIBS += -lprotobuf -lnghttp2 -lz
$(BUILD)/gen/oracle/.generated: $(PROTOS:%=$(PROTO_DIR)/%)
	$(call msg,PROTOC,$(PROTO_DIR))
	$(Q)mkdir -p $(@D) && protoc -I $(PROTO_DIR) --cpp_out=$(@D) $(PROTOS) && touch $@
$(PROTOS:%.proto=$(BUILD)/gen/oracle/%.pb.cc): $(BUILD)/gen/oracle/.generated ;
$(BUILD)/obj/oracle/%.o: $(BUILD)/gen/oracle/%.pb.cc
	$(call msg,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CXX) -std=c++20 -O2 -DNDEBUG $(SANFLAGS) -I$(BUILD)/gen/oracle -c $< -o $@
$(ORACLE): $(PROTOS:%.proto=$(BUILD)/obj/oracle/%.o)
USES_ORACLE := $(foreach d,exporter/otlp exporter/transport exporter/send tools,$(call objects,tests/$(d))) \
    $(BUILD)/obj/tests/bench/bench_encode.cc.o
$(USES_ORACLE): CPPFLAGS += -I$(BUILD)/gen/oracle -DNDEBUG
$(USES_ORACLE): | $(BUILD)/gen/oracle/.generated
$(foreach s,otlp transport send,$(BUILD)/test/exporter_$(s)): $(ORACLE)
$(BUILD)/bench/bench_encode: $(BUILD)/obj/tests/bench/bench_encode.cc.o $(foreach s,otlp model,$(call lib,exporter/$(s))) $(ORACLE)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

# ---------------------------------------------------------------- libspantap.so, what proxies load: C, libc only
LIBSPANTAP := $(BUILD)/lib/libspantap.so
SO_FLAGS   := -Wl,-z,nodelete $(if $(SAN),,-Wl$(,)-z$(,)defs) -Wl,-z,relro -Wl,-z,now
HANDOFF    := $(patsubst %,$(BUILD)/obj/%.o,$(wildcard exporter/handoff/*.c))
$(BUILD)/obj/exporter/handoff/%.c.o: exporter/handoff/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE) $(CC) $(CPPFLAGS) $(CFLAGS) -pedantic -MMD -MP -c $< -o $@
$(LIBSPANTAP): $(HANDOFF) exporter/handoff/spantap.map
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) -shared $(LDFLAGS) -Wl,-soname,libspantap.so.0 -Wl,--version-script=exporter/handoff/spantap.map \
	    $(SO_FLAGS) -Wl,-rpath,'$$ORIGIN' -o $@.0 $(HANDOFF) && ln -sf libspantap.so.0 $@
# The real reader, too: an agent that dies.
$(BUILD)/test/exporter_handoff: $(LIBSPANTAP) $(BUILD)/obj/exporter/intake/ring_reader.cc.o
$(BUILD)/test/exporter_handoff: LIBS := -Wl,-rpath,'$$ORIGIN/../lib' -pthread
$(BUILD)/bench/bench_handoff: $(patsubst %,$(BUILD)/obj/tests/%.cc.o,bench/bench_handoff exporter/handoff/ring_agent) $(LIBSPANTAP)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ -Wl,-rpath,'$$ORIGIN/../lib' -pthread

# What it loads in embedded mode: the exporter, with all that it needs. Shows one symbol.
EMBEDDED := $(BUILD)/lib/libspantap-embedded.so
$(EMBEDDED): $(foreach s,$(EXPORTER_STAGES),$(call lib,$(s))) exporter/embedded/embedded.map
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) -shared $(LDFLAGS) -Wl,-soname,libspantap-embedded.so.0 -Wl,--version-script=exporter/embedded/embedded.map \
	    $(SO_FLAGS) -o $@.0 -Wl,--whole-archive $(call lib,exporter/embedded) -Wl,--no-whole-archive $(filter %.a,$^) $(LIBS) && \
	    ln -sf libspantap-embedded.so.0 $@

# The same library for programs that live on musl (Alpine). It has no embedded mode: that needs glibc's C++.
MUSL    := $(BUILD)/musl/libspantap.so.0
MUSL_CC ?= musl-gcc
musl: $(MUSL)
$(MUSL): $(wildcard exporter/handoff/*.[ch]) exporter/handoff/spantap.map include/spantap/spantap.h
	$(call msg,MUSL,$@)
	$(Q)mkdir -p $(@D) && $(MUSL_CC) $(CPPFLAGS) -std=c11 $(OPT) $(WARN) $(PIC) -fvisibility=hidden -pedantic -shared \
	    -Wl,-soname,libspantap.so.0 -Wl,--version-script=exporter/handoff/spantap.map -Wl,--as-needed $(SO_FLAGS) -o $@ $(filter %.c,$^)

# ---------------------------------------------------------------- the ring's model: every interleaving of the real code (tests/model)
# Compiled for a thread sanitizer, linked with a runtime of our own that decides what is next and what a load sees. The
# smallest ring is the one thing that differs; mutants/FILE-NAME.sed are wrong on purpose, and must be found.
MODEL          := build/model
MODEL_C        := $(wildcard exporter/handoff/*.c)
MODEL_SOURCES  := $(MODEL_C) exporter/intake/ring_reader.cc
MODEL_OBJECTS  := $(MODEL_SOURCES:%=$(MODEL)/obj/%.o)
MODEL_TESTS    := $(patsubst %,build/obj/%.o,$(wildcard tests/model/*.cc)) build/obj/tests/main.cc.o
MODEL_MUTANTS  := $(notdir $(basename $(wildcard tests/model/mutants/*.sed)))
MODEL_COMPILE   = $(if $(filter %.cc,$<),clang++-14 -std=c++20,clang-14 -std=c11) $(CPPFLAGS) -O1 -fsanitize=thread \
    -MMD -MP -MT $@ -c $< -o $@ && objcopy --redefine-syms=tests/model/redefined.txt $@
$(MODEL)/src/exporter/handoff/attach.c: exporter/handoff/attach.c
	$(Q)mkdir -p $(@D) && sed 's/bytes >= SPANTAP_RING_MIN_BYTES/bytes >= 512/' $< > $@ && ! cmp -s $< $@
$(MODEL)/src/%: %
	$(Q)mkdir -p $(@D) && cp $< $@
MODEL_COPIES   := $(MODEL_SOURCES:%=$(MODEL)/src/%)
.SECONDARY: $(MODEL_COPIES)
$(MODEL)/obj/%.o: $(MODEL)/src/% tests/model/redefined.txt
	$(call msg,MODEL,$<)
	$(Q)mkdir -p $(@D) && $(MODEL_COMPILE)
build/test/handoff_model: $(MODEL_TESTS) $(MODEL_OBJECTS) | $(MODEL_MUTANTS:%=$(MODEL)/%)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) -o $@ $^
define mutant_rule
$(MODEL)/mutants/$(1)/$(notdir $(2)): $(MODEL)/src/$(2) tests/model/mutants/$(1).sed
	$$(Q)mkdir -p $$(@D) && sed -E -f tests/model/mutants/$(1).sed $$< > $$@ && ! cmp -s $$< $$@
$(MODEL)/mutants/$(1)/mutant.o: $(MODEL)/mutants/$(1)/$(notdir $(2)) tests/model/redefined.txt
	$$(Q)$$(MODEL_COMPILE)
$(MODEL)/$(1): $(MODEL)/mutants/$(1)/mutant.o $(MODEL_TESTS) $(filter-out $(MODEL)/obj/$(2).o,$(MODEL_OBJECTS))
	$$(call msg,MUTANT,$$@)
	$$(Q)$(CXX) -o $$@ $$^
endef
$(foreach m,$(MODEL_MUTANTS),$(eval $(call mutant_rule,$(m),$(firstword $(filter %/$(firstword $(subst -, ,$(m))),$(MODEL_SOURCES))))))
$(patsubst %,build/obj/%.o,$(wildcard tests/model/*.cc)): PCH =
$(patsubst %,build/obj/%.o,$(wildcard tests/model/*.cc)): PCH_USE =
-include $(shell find $(MODEL) -name '*.d' 2>/dev/null)

# ---------------------------------------------------------------- programs
$(BUILD)/bin/spantap: $(BUILD)/obj/agent/main.cc.o $(STAGE_LIBS)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ $(MALLOC) $(LIBS)

# ---------------------------------------------------------------- adapters: what proxies load (packaging/NAME/rules.mk)
# Each file adds its product to ADAPTERS, what building it needs to ADAPTER_PACKAGES, and a target adapter-NAME, which
# installs that and builds.
ADAPTERS         :=
ADAPTER_PACKAGES :=
-include $(sort $(wildcard packaging/*/rules.mk))
adapters: $(ADAPTERS)

# ---------------------------------------------------------------- unit tests: one binary per stage
test_bin   = $(BUILD)/test/$(subst /,_,$(1))
TEST_AREAS := $(foreach s,$(STAGES) exporter/handoff bpf,$(if $(wildcard tests/$(s)/*.cc),$(s)))
define test_rule
$(call test_bin,$(1)): $(call objects,tests/$(1)) $(BUILD)/obj/tests/main.cc.o \
    $(if $(filter $(1),$(STAGES)),$(foreach s,$(shell echo $(STAGES) | sed 's|.*\($(1)\)|\1|'),$(call lib,$(s))),$(if $(filter bpf,$(1)),$(call lib,agent/capture),$(if $(filter exporter/handoff,$(1)),,$(STAGE_LIBS))))
	$$(call msg,LINK,$$@)
	$$(Q)mkdir -p $$(@D) && $$(CXX) $$(LDFLAGS) -o $$@ $$^ $$(LIBS) $$(TEST_LIBS)
endef
$(foreach a,$(TEST_AREAS),$(eval $(call test_rule,$(a))))
unit: $(foreach a,$(TEST_AREAS),$(call test_bin,$(a)))
	$(Q)for t in $^; do echo "$$t:"; $$t || exit 1; done

# ---------------------------------------------------------------- everything that is not building
BUILD_PACKAGES := g++=4:12 gcc=4:12 pkg-config clang-14=1:14.0 bpftool=7.1 libbpf-dev=1:1.1 libabsl-dev=20220623 \
    libcurl4-openssl-dev=7.88 libssl-dev=3.0 libdeflate-dev=1.14 libzstd-dev=1.5 \
    prometheus-cpp-dev=1.0 libcli11-dev=2.1 libspdlog-dev=1:1.10 libyaml-cpp-dev=0.7 \
    nlohmann-json3-dev=3.11 node-llhttp=8.1 protobuf-compiler=3.21 python3=3.11 python3-protobuf=3.21 python3-pkg-resources \
    libxxhash-dev=0.8 libjemalloc-dev=5.3 linux-libc-dev dpkg-dev ca-certificates
TEST_PACKAGES := catch2=2.13 libprotobuf-dev=3.21 libnghttp2-dev=1.52 zlib1g-dev=1:1.2 libclang-rt-14-dev=1:14.0 nginx-light=1.22 haproxy=2.6 wrk=4.1 \
    curl=7.88 procps python3-venv=3.11 python3-hpack=4.0 openssl=3.0 git musl-tools=1.2 nodejs=18 python3-aiohttp=3.8
DOC_PACKAGES  := doxygen=1.9
FIT_PACKAGES  := python3-sklearn=1.2
LINT_PACKAGES := clang-format-14=1:14.0 clang-tidy-14=1:14.0
deps: deps-test
	$(Q)tests/setup/get_envoy.sh
	$(Q)tests/setup/get_collector.sh
deps-build:
	$(Q)tests/setup/install_packages.sh $(BUILD_PACKAGES)
deps-test: deps-build
	$(Q)tests/setup/install_packages.sh $(TEST_PACKAGES) $(ADAPTER_PACKAGES)
# Where Envoy, the Collector or PHP cannot be had, the tests that need it are skipped, and say so.
deps-tried: deps-test
	$(Q)tests/setup/install_packages.sh php8.2-fpm=8.2 || true
	$(Q)tests/setup/get_envoy.sh || true
	$(Q)tests/setup/get_collector.sh || true

# Targets that install what is missing and then start over, so that the new tools are seen.
JOBS := -j$(shell nproc)
test: deps-tried
	$(Q)$(MAKE) --no-print-directory $(JOBS) all musl adapters test-programs
	$(Q)$(MAKE) --no-print-directory $(JOBS) SAN=1 test-programs fuzz-programs
	$(Q)/usr/bin/python3 tests/run.py
soak: deps-tried
	$(Q)$(MAKE) --no-print-directory $(JOBS) all musl adapters test-programs
	$(Q)SPANTAP_ROUNDS=20 /usr/bin/python3 tests/run.py
demo: deps-test
	$(Q)tests/setup/get_envoy.sh || true
	$(Q)$(MAKE) --no-print-directory $(JOBS) all
	$(Q)/usr/bin/python3 tests/demo/demo.py $(if $(ENDPOINT),--endpoint $(ENDPOINT))
bench: deps-tried
	$(Q)$(MAKE) --no-print-directory $(JOBS) all adapters bench-programs
	$(Q)/usr/bin/python3 tests/bench/run.py
# Servers that it records are installed when their turn comes (tests/accuracy/server_table.py); FRESH=1 records anew.
accuracy: deps-tried
	$(Q)$(MAKE) --no-print-directory $(JOBS) all accuracy-programs
	$(Q)/usr/bin/python3 tests/e2e/run.py --filter truth
	$(Q)/usr/bin/python3 tests/accuracy/run.py $(if $(FRESH),--fresh) $(if $(ONLY),--only $(ONLY))
# Of the weights of agent/cause/sureness.h, on sets of recordings that have been looked at.
SETS ?= tuning
accuracy-fit: deps-tried
	$(Q)tests/setup/install_packages.sh $(FIT_PACKAGES)
	$(Q)$(MAKE) --no-print-directory $(JOBS) accuracy-programs
	$(Q)/usr/bin/python3 tests/accuracy/fit.py --sets $(SETS) --check --write
fuzz: deps-test
	$(Q)$(MAKE) --no-print-directory $(JOBS) SAN=1 fuzz-programs
	$(Q)for f in $(FUZZERS); do build/san/fuzz/$$f -max_total_time=$(SECONDS) -print_final_stats=1 build/san/fuzz/$$f.new tests/data/$$f || exit 1; done

# Fuzz targets are part of the sanitized build (SAN=1), so that they see coverage of all that they call.
SECONDS   ?= 60
FUZZERS   := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.cc)))
FUZZ_LIBS := $(foreach s,$(filter-out agent/run agent/capture,$(STAGES)),$(call lib,$(s)))
fuzz-programs: $(addprefix $(BUILD)/fuzz/,$(FUZZERS))
$(BUILD)/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.cc.o $(FUZZ_LIBS)
	$(call msg,FUZZ,$@)
	$(Q)mkdir -p $@.new && $(CXX) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Programs that tests run: one for each file here that has a main(), linked with the others.
TOOL_MAINS := export_driver span_sink
TOOL_PARTS  = $(filter-out $(TOOL_MAINS:%=$(BUILD)/obj/tests/tools/%.cc.o),$(call objects,tests/tools))
TOOLS       = $(addprefix $(BUILD)/tools/,$(TOOL_MAINS))
$(BUILD)/tools/%: $(BUILD)/obj/tests/tools/%.cc.o $$(TOOL_PARTS) $(foreach s,$(EXPORTER_STAGES),$(call lib,$(s))) $(ORACLE)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

# `make test` runs the units once, sanitized; what loads programs into the kernel, and the tools, are not sanitized.
test-programs: $(if $(SAN),$(foreach a,$(filter-out bpf,$(TEST_AREAS)),$(call test_bin,$(a))),$(TOOLS) $(call test_bin,bpf) build/test/handoff_model)
BENCHES := $(basename $(notdir $(wildcard tests/bench/*.cc)))
bench-programs: $(addprefix $(BUILD)/bench/,$(BENCHES))
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.cc.o $(STAGE_LIBS)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

# The accuracy bench: its traffic needs nothing of ours, its cost meter the stages up to the linker.
ACCURACY := $(basename $(notdir $(wildcard tests/accuracy/*.cc)))
accuracy-programs: $(addprefix $(BUILD)/accuracy/,$(ACCURACY))
$(BUILD)/accuracy/%: $(BUILD)/obj/tests/accuracy/%.cc.o $(STAGE_LIBS)
	$(call msg,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -o $@ $^ $(MALLOC) $(LIBS)

SOURCES := $(shell git ls-files '*.cc' '*.h' '*.c' 2>/dev/null)
CXX_SOURCES := $(filter %.cc,$(SOURCES))
lint: deps-test
	$(Q)tests/setup/install_packages.sh $(LINT_PACKAGES)
	$(Q)$(MAKE) --no-print-directory $(JOBS) all test-programs bench-programs
	$(Q)/usr/bin/python3 tests/lint/check_arrows.py
	$(Q)$(MAKE) --no-print-directory doc
	$(Q)clang-format-14 --dry-run -Werror $(SOURCES)
	$(Q)/usr/bin/python3 tests/lint/run_clang.py --jobs $(shell nproc) --flags '-std=c++20 $(CPPFLAGS) $(NANOPB_FLAGS) -I/usr/share/include/llhttp' $(filter-out tests/%,$(CXX_SOURCES))
format:
	$(Q)clang-format-14 -i $(SOURCES)

# spantap.h as HTML and man pages; a public name without a text is an error.
DOC := $(BUILD)/doc
doc:
	$(Q)tests/setup/install_packages.sh $(DOC_PACKAGES)
	$(call msg,DOC,$(DOC))
	$(Q)rm -rf $(DOC) && mkdir -p $(DOC)
	$(Q)SPANTAP_VERSION=$(VERSION) SPANTAP_DOC_FOLDER=$(DOC) doxygen include/spantap/Doxyfile
	$(Q)find $(DOC)/man/man3 -type f ! -name 'spantap*' ! -name 'SPANTAP_*' -delete

# With the adapters, if they are built (make adapters): beside libspantap.so.0, where their run path looks for it.
install: all
	install -D -m 755 $(BUILD)/bin/spantap $(DESTDIR)$(prefix)/bin/spantap
	install -D -m 755 $(LIBSPANTAP).0 $(DESTDIR)$(prefix)/lib/libspantap.so.0
	install -D -m 755 $(EMBEDDED).0 $(DESTDIR)$(prefix)/lib/libspantap-embedded.so.0
	ln -sf libspantap.so.0 $(DESTDIR)$(prefix)/lib/libspantap.so
	install -D -m 644 include/spantap/spantap.h $(DESTDIR)$(prefix)/include/spantap/spantap.h
	for a in $(wildcard $(ADAPTERS)); do install -m 755 $$a $(DESTDIR)$(prefix)/lib/ || exit 1; done
	install -d $(DESTDIR)$(prefix)/lib/pkgconfig
	sed 's|@prefix@|$(prefix)|; s|@version@|$(VERSION)|' include/spantap/spantap.pc.in >$(DESTDIR)$(prefix)/lib/pkgconfig/spantap.pc

help:
	@printf '%s\n' 'make demo      set up, build, and show the traces of real proxies on this machine' \
	  'make test      set up, build, run every test (under 15 minutes)' \
	  'make musl      build libspantap.so.0 for programs that live on musl' \
	  'make doc       spantap.h as HTML and man pages, in build/doc' \
	  'make adapters  build what nginx, Envoy and HAProxy load (adapter-NAME: one of them, with what it needs)' \
	  'make all       build build/bin/spantap (after make deps)' \
	  'make deps      install the packages, Envoy and the Collector that building and testing need' \
	  'make unit      build and run the unit tests only' \
	  'make bench     the benchmarks: ratios against a rival or a floor, measured in one run' \
	  'make soak      the tests with twenty times the rounds' \
	  'make fuzz      the fuzzers, 60 seconds each (SECONDS=N)' \
	  'make accuracy  spans against what Envoy itself reports; links of some dozen servers against the truth (FRESH=1: record anew)' \
	  'make accuracy-fit  fits anew how often links are right, on recordings that were looked at (SETS=tuning,fresh-DATE)' \
	  'make lint      formatting, clang-tidy, thread-safety analysis, include arrows' \
	  'make format    apply the formatting' \
	  'make install   DESTDIR and prefix are respected' \
	  'make clean     remove build/ (downloads stay in $(CACHE))' \
	  'SAN=1          with ASan and UBSan, in build/san;  V=1  whole commands'

clean:
	rm -rf build
