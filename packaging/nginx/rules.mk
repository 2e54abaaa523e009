# SPDX-License-Identifier: Apache-2.0
# The nginx module, built against the distribution's nginx (nginx-dev: its headers and configure). configure writes into
# its tree and is run once a build directory; the module's sources are then all that is compiled.
ADAPTERS         += $(BUILD)/lib/ngx_http_spantap_module.so
NGINX_PACKAGES   := nginx-dev=1.22 libpcre2-dev=10.42 libssl-dev=3.0 zlib1g-dev=1:1.2
ADAPTER_PACKAGES += $(NGINX_PACKAGES)
# Another nginx: its source tree, and the options that its -V prints (with --with-compat, as quoted words).
NGINX_SRC        ?= /usr/share/nginx/src
NGINX_FLAGS      ?=
NGINX_BUILD      := $(abspath $(BUILD))/nginx
NGINX_MODULE     := $(NGINX_BUILD)/objs/ngx_http_spantap_module.so

.PHONY: adapter-nginx
adapter-nginx: deps-build
	$(Q)tests/setup/install_packages.sh $(NGINX_PACKAGES)
	$(Q)$(MAKE) --no-print-directory $(BUILD)/lib/ngx_http_spantap_module.so

$(NGINX_BUILD)/objs/Makefile: packaging/nginx/config packaging/nginx/configure.sh $(wildcard $(NGINX_SRC)/conf_flags)
	$(call msg,NGINX,$(NGINX_SRC))
	$(Q)SPANTAP_INCLUDE=$(CURDIR)/include SPANTAP_LIB=$(abspath $(BUILD))/lib NGINX_FLAGS='$(NGINX_FLAGS)' \
	    packaging/nginx/configure.sh $(NGINX_SRC) $(NGINX_BUILD) $(CURDIR)/packaging/nginx

$(BUILD)/lib/ngx_http_spantap_module.so: $(NGINX_BUILD)/objs/Makefile $(LIBSPANTAP) include/spantap/spantap.h \
    $(wildcard packaging/nginx/*.c packaging/nginx/*.h)
	$(call msg,MODULE,$@)
	$(Q)$(MAKE) --no-print-directory -s -C $(NGINX_BUILD)/src -f $(NGINX_BUILD)/objs/Makefile modules >/dev/null && \
	    mkdir -p $(@D) && install -m 755 $(NGINX_MODULE) $@
