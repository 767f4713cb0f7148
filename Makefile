# tidfs: a versioned object database that is used as a filesystem.
# `make help` lists what can be built; the knobs below are set on the command line, as in `make V=1 D=asan,ubsan`.

BUILD ?= build##        where everything that is built goes
D ?=##                  variant: any of asan, ubsan, tsan, cov, joined by commas; builds in $(BUILD)/<variant>
V ?= 0##                1 shows the commands
CFLAGS ?= -O2 -g##      optimisation and debugging; warnings and hardening are added
PREFIX ?= /usr/local##  where `make install` puts things
SBINDIR ?=##            where the mount helpers go, if not $(PREFIX)/sbin
DESTDIR ?=##            staging directory of packagers, put before PREFIX
T ?=##                  run only the tests whose names contain this
FUZZ_SECONDS ?= 60##    how long `make fuzz` runs each fuzzer

# ---------------------------------------------------------------- what is built, and with what

# The comments that `make help` shows stand against the values, so the white space before them is dropped here.
override BUILD := $(strip $(BUILD))
override PREFIX := $(strip $(PREFIX))
override T := $(strip $(T))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

comma := ,
variant := $(subst $(comma), ,$(strip $(D)))
unknown := $(filter-out asan ubsan tsan cov fuzz,$(variant))
ifneq ($(unknown),)
$(error D=$(unknown) is not known: it is any of asan, ubsan, tsan, cov, joined by commas)
endif
ifneq ($(and $(filter tsan,$(variant)),$(filter asan,$(variant))),)
$(error asan and tsan exclude each other: build them one after the other)
endif

empty :=
space := $(empty) $(empty)
O := $(BUILD)$(if $(variant),/$(subst $(space),-,$(variant)))

library_sources := $(sort $(wildcard store/*.c history/*.c) $(filter-out fs/main.c,$(wildcard fs/*.c)))
unit_sources := $(sort $(wildcard tests/test_*.c))
tool_sources := $(sort $(wildcard tests/tool_*.c))
fuzz_sources := $(sort $(wildcard tests/fuzz_*.c))
# A program may have further files: tests/x_*.c belong to tests/tool_x.c or tests/test_x.c. All other files in tests/ go into every unit test.
parts = $(filter-out $(unit_sources) $(tool_sources) $(fuzz_sources),$(sort $(wildcard tests/$(patsubst tool_%,%,$(patsubst test_%,%,$(1:tests/%.c=%)))_*.c)))
part_sources := $(sort $(foreach program,$(unit_sources) $(tool_sources),$(call parts,$(program))))
support_sources := $(filter-out $(unit_sources) $(tool_sources) $(fuzz_sources) $(part_sources),$(sort $(wildcard tests/*.c)))
mount_tests := $(sort $(wildcard tests/mount_*.sh))
headers := $(sort $(wildcard store/*.h history/*.h fs/*.h tests/*.h))
all_c := $(library_sources) $(wildcard fs/main.c) $(unit_sources) $(tool_sources) $(part_sources) $(fuzz_sources) \
    $(support_sources)
shell_scripts := $(sort $(wildcard scripts/* tests/*.sh fs/completion/*.bash .ci/run))

unit_programs := $(unit_sources:tests/%.c=$(O)/tests/%)
tool_programs := $(tool_sources:tests/%.c=$(O)/tests/%)
fuzz_programs := $(fuzz_sources:tests/%.c=$(O)/tests/%)

PKG_CONFIG ?= pkg-config
packages := fuse3 sqlite3 libxxhash
# Loaded by name when it is needed, and not linked: that would cost every command 12 ms.
loaded_packages := libgit2
libgit2_file := $(shell $(PKG_CONFIG) --variable=libdir libgit2 2>/dev/null)/libgit2.so
libgit2_name := $(shell readelf -d $(libgit2_file) 2>/dev/null | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
package_cflags := $(shell $(PKG_CONFIG) --cflags $(packages) $(loaded_packages) 2>/dev/null)
package_libs := $(shell $(PKG_CONFIG) --libs $(packages) 2>/dev/null)
cmocka_cflags := $(shell $(PKG_CONFIG) --cflags cmocka 2>/dev/null)
cmocka_libs := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)

warnings := -Wall -Wextra -Wconversion -Wshadow -Werror
defines := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -I. \
    -DTIDFS_LIBGIT2=$(or $(libgit2_name),libgit2.so)
hardening := -fstack-protector-strong -fPIE
link_hardening := -pie -Wl,-z,relro,-z,now

# What a variant adds. _FORTIFY_SOURCE hides accesses from the sanitizers, and needs an optimising build.
instrument :=
ifneq ($(filter asan fuzz,$(variant)),)
instrument += -fsanitize=address -fno-omit-frame-pointer
endif
ifneq ($(filter ubsan fuzz,$(variant)),)
instrument += -fsanitize=undefined -fno-sanitize-recover=all
endif
ifneq ($(filter tsan,$(variant)),)
instrument += -fsanitize=thread -fno-omit-frame-pointer
endif
ifneq ($(filter cov,$(variant)),)
instrument += --coverage -O0
endif
ifneq ($(filter fuzz,$(variant)),)
instrument += -fsanitize=fuzzer-no-link
endif
ifeq ($(variant),)
hardening += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

compile := $(CC) -std=c17 $(defines) $(CPPFLAGS) $(warnings) $(CFLAGS) $(hardening) $(instrument) $(package_cflags)
link := $(CC) $(CFLAGS) $(instrument) $(LDFLAGS) $(link_hardening)
libs := $(package_libs) -lpthread -ldl
# The compiler does not know that cmocka's assertions do not return, and warns of what a failed call left unset. (The second
# option is for clang, which does not know the first.)
test_cflags := $(cmocka_cflags) -Wno-maybe-uninitialized -Wno-unknown-warning-option

ifeq ($(strip $(V)),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

# ---------------------------------------------------------------- building

.PHONY: all
all: $(O)/tidfs ## build the program (the default)

$(O)/tidfs: $(O)/fs/main.o $(O)/libtidfs.a
	$(say) LINK $@
	$(Q)$(link) -o $@ $^ $(libs)

# Made anew each time: `ar` alone would keep members whose sources are gone.
$(O)/libtidfs.a: $(library_sources:%.c=$(O)/%.o) $(O)/flags
	$(say) AR $@
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

# -MMD writes what each object read; -MP keeps a removed header from stopping the build.
$(O)/%.o: %.c $(O)/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(compile) $(if $(filter tests/%,$<),$(test_cflags)) -MMD -MP -c -o $@ $<

define program_depends
$(1:tests/%.c=$(O)/tests/%): $(1:%.c=$(O)/%.o) $(patsubst %.c,$(O)/%.o,$(call parts,$(1)))
endef
$(foreach program,$(unit_sources) $(tool_sources),$(eval $(call program_depends,$(program))))

# ---- What a test stands in for: calls of the project's own objects that go to the test's __wrap_CALL instead, by program.
wrap_test_powercut :=
wrap_test_faults :=
wrap_test_driver_faults :=
# ----

$(unit_programs): $(O)/tests/%: $(support_sources:%.c=$(O)/%.o) $(O)/libtidfs.a
	$(say) LINK $@
	$(Q)$(link) $(addprefix -Wl$(comma)--wrap=,$(wrap_$*)) -o $@ $(filter %.o,$^) $(O)/libtidfs.a $(cmocka_libs) $(libs)

$(tool_programs):
	$(say) LINK $@
	$(Q)$(link) -o $@ $^ $(libs)

$(fuzz_programs): $(O)/tests/%: $(O)/tests/%.o $(O)/libtidfs.a
	$(say) LINK $@
	$(Q)$(link) -fsanitize=fuzzer -o $@ $^ $(libs)

# Changes when the flags or the set of sources do, and only then; everything depends on it.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@for package in $(packages) $(loaded_packages); do \
	    $(PKG_CONFIG) --exists $$package || { \
	        echo "make: $$package is missing: run scripts/install-deps" >&2; exit 1; }; \
	done
	@printf '%s\n' '$(compile)' '$(link) $(libs)' '$(test_cflags) $(cmocka_libs)' '$(library_sources)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.PHONY: FORCE
FORCE:

# Objects are kept: make would otherwise delete the tests' as intermediate files.
.SECONDARY:

-include $(patsubst %.c,$(O)/%.d,$(all_c))

# ---------------------------------------------------------------- trying and testing

# As many at a time as there are processors, if nobody said how many.
jobs = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
run_tests = TIDFS=$(abspath $(O)/tidfs) TIDFS_TOOLS=$(abspath $(O)/tests) scripts/run-tests --only '$(T)'

.PHONY: demo
demo: ## make a store with real history, mount it, show it, and leave it mounted
	$(Q)BUILD=$(BUILD) MAKE='$(MAKE) $(jobs)' scripts/demo

.PHONY: check
check: ## install what is missing, build, run all tests
	$(Q)scripts/install-deps --test
	$(Q)$(MAKE) $(jobs) --no-print-directory check-installed

# A make of its own, so that it asks pkg-config after the installation.
.PHONY: check-installed
check-installed: $(O)/tidfs $(unit_programs) $(tool_programs)
	$(Q)$(run_tests) $(unit_programs) $(mount_tests)

.PHONY: check-unit
check-unit: $(unit_programs) ## run the unit tests
	$(Q)$(run_tests) $(unit_programs)

.PHONY: check-mount
check-mount: $(O)/tidfs $(tool_programs) ## run the tests that mount a store
	$(Q)$(run_tests) $(mount_tests)

.PHONY: bench
bench: $(O)/tidfs $(tool_programs) ## measure against other filesystems, as root; T names the parts (scripts/bench has the list)
	$(Q)TIDFS=$(abspath $(O)/tidfs) TIDFS_TOOLS=$(abspath $(O)/tests) scripts/bench $(T)

.PHONY: fuzz
fuzz: ## run each fuzzer for FUZZ_SECONDS
	$(Q)$(MAKE) --no-print-directory D=fuzz CC=clang fuzz-built

.PHONY: fuzz-built
fuzz-built: $(fuzz_programs)
	$(Q)for fuzzer in $(fuzz_programs); do \
	    corpus=$(O)/corpus/$${fuzzer##*/}; mkdir -p "$$corpus" && \
	    $$fuzzer -max_total_time=$(strip $(FUZZ_SECONDS)) -print_final_stats=1 -artifact_prefix="$$corpus-" "$$corpus" \
	        $$(ls -d tests/data/$${fuzzer##*/} 2>/dev/null) || exit 1; \
	done

# ---------------------------------------------------------------- keeping the code in order

.PHONY: format
format: ## rewrite the sources in the project's format
	$(Q)clang-format -i $(all_c) $(headers)

.PHONY: lint lint-format lint-tidy lint-cppcheck lint-shell
lint: lint-format lint-tidy lint-cppcheck lint-shell ## clang-format, clang-tidy, cppcheck, shellcheck

lint-format:
	$(say) FORMAT
	$(Q)clang-format --dry-run -Werror $(all_c) $(headers)

lint-tidy:
	$(say) TIDY
	$(Q)printf '%s\n' $(all_c) | xargs -P "$$(nproc)" -n 1 sh -c 'clang-tidy --quiet "$$@" -- \
	    -std=c17 $(defines) $(package_cflags) $(cmocka_cflags) 2>/dev/null' clang-tidy

# What it takes for uninitialised are results of functions of other files.
lint-cppcheck:
	$(say) CPPCHECK
	$(Q)mkdir -p $(O)/cppcheck && cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --suppress=uninitvar --suppress=uninitStructMember --error-exitcode=1 \
	    --cppcheck-build-dir=$(O)/cppcheck -j "$$(nproc)" -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. \
	    $(library_sources) $(wildcard fs/main.c)

lint-shell:
	$(say) SHELL
	$(Q)shellcheck $(shell_scripts)

.PHONY: layers
layers: $(O)/tidfs ## check that includes point down, that headers stand alone, that --help and the manual agree
	$(Q)CC='$(CC)' CHECK_CFLAGS='$(defines) $(package_cflags) $(cmocka_cflags)' scripts/check-layers
	$(Q)TIDFS=$(O)/tidfs scripts/check-man

# ---------------------------------------------------------------- installing

bindir := $(DESTDIR)$(PREFIX)/bin
sbindir := $(DESTDIR)$(or $(strip $(SBINDIR)),$(PREFIX)/sbin)
mandir := $(DESTDIR)$(PREFIX)/share/man
docdir := $(DESTDIR)$(PREFIX)/share/doc/tidfs
man_pages := $(sort $(wildcard fs/man/*))
bashdir := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
completions := $(bashdir)/tidfs $(zshdir)/_tidfs $(fishdir)/tidfs.fish
samples := $(sort $(wildcard fs/*.conf))
helpers := mount.tidfs mount.fuse.tidfs

.PHONY: install
install: $(O)/tidfs ## install the program, the mount helpers, the manual, completion and a sample configuration
	install -d $(bindir) $(sbindir) $(docdir)
	install -m 755 $(O)/tidfs $(bindir)/tidfs
	for helper in $(helpers); do ln -sf $(PREFIX)/bin/tidfs $(sbindir)/$$helper || exit 1; done
	for page in $(man_pages); do install -D -m 644 $$page $(mandir)/man$${page##*.}/$${page##*/} || exit 1; done
	install -D -m 644 fs/completion/tidfs.bash $(bashdir)/tidfs
	install -D -m 644 fs/completion/_tidfs $(zshdir)/_tidfs
	install -D -m 644 fs/completion/tidfs.fish $(fishdir)/tidfs.fish
	for sample in $(samples); do install -m 644 $$sample $(docdir)/ || exit 1; done
	@case '$(sbindir)' in /sbin | /usr/sbin | $(or $(DESTDIR),/sbin)*) ;; *) \
	    echo 'mount(8) and fstab look for mount.tidfs in /sbin alone: SBINDIR=/sbin puts it there' ;; esac

.PHONY: uninstall
uninstall: ## remove what `make install` with the same settings installed
	rm -f $(bindir)/tidfs $(helpers:%=$(sbindir)/%) $(completions) \
	    $(foreach page,$(man_pages),$(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page))) \
	    $(samples:fs/%=$(docdir)/%)
	if [ -d $(docdir) ]; then rmdir --ignore-fail-on-non-empty $(docdir); fi

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help: ## show this
	@echo 'Targets:'
	@sed -n 's/^\([a-z][a-z-]*\):[^#=]*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo 'Knobs, as in `make V=1 D=asan,ubsan check`:'
	@sed -n 's/^\([A-Z_]*\) ?= *\(.*[^ ]\)\{0,1\} *## *\(.*\)/\1|\2|\3/p' Makefile | \
	    awk -F'|' '{ printf "  %-14s %s%s\n", $$1, $$3, $$2 == "" ? "" : " (" $$2 ")" }'
