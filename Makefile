# tidfs: a versioned object database that is used as a filesystem.
# `make help` lists what can be built; the knobs below are set on the command line, as in `make V=1 D=asan,ubsan`.

BUILD ?= build##        where everything that is built goes
D ?=##                  variant: any of asan, ubsan, tsan, cov, joined by commas; builds in $(BUILD)/<variant>
V ?= 0##                1 shows the commands
CFLAGS ?= -O2 -g##      optimisation and debugging; warnings and hardening are added
PREFIX ?= /usr/local##  where `make install` puts things
UNITDIR ?=##            where the systemd unit goes, if not $(PREFIX)/lib/systemd/system
SBINDIR ?=##            where the mount helpers go, if not $(PREFIX)/sbin
DESTDIR ?=##            staging directory of packagers, put before PREFIX
T ?=##                  run only the tests whose names contain this
FUZZ_SECONDS ?= 60##    how long `make check-fuzz` runs each fuzzer

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
# A program may have further files: tests/x_*.c belong to tests/tool_x.c, tests/test_x.c or tests/fuzz_x.c. All other files in tests/ go into every unit test.
parts = $(filter-out $(unit_sources) $(tool_sources) $(fuzz_sources),$(sort $(wildcard tests/$(patsubst fuzz_%,%,$(patsubst tool_%,%,$(patsubst test_%,%,$(1:tests/%.c=%))))_*.c)))
part_sources := $(sort $(foreach program,$(unit_sources) $(tool_sources) $(fuzz_sources),$(call parts,$(program))))
support_sources := $(filter-out $(unit_sources) $(tool_sources) $(fuzz_sources) $(part_sources),$(sort $(wildcard tests/*.c)))
mount_tests := $(sort $(wildcard tests/mount_*.sh))
headers := $(sort $(wildcard store/*.h history/*.h fs/*.h tests/*.h))
all_c := $(library_sources) $(wildcard fs/main.c) $(unit_sources) $(tool_sources) $(part_sources) $(fuzz_sources) \
    $(support_sources)
shell_scripts := $(sort $(filter-out %.py,$(wildcard scripts/* tests/*.sh fs/completion/*.bash .ci/run)))

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
# What distributions build with (scripts/check-hardening looks for it in the program); some of it not every compiler and processor has.
supported = $(shell $(CC) -O2 -Werror -U_FORTIFY_SOURCE $(1) -include stdio.h -x c -c -o /dev/null /dev/null 2>/dev/null && echo '$(1)')
hardening := -fstack-protector-strong -fPIE -Wformat -Werror=format-security \
    $(call supported,-fstack-clash-protection) $(call supported,-fcf-protection)
fortify := $(or $(call supported,-D_FORTIFY_SOURCE=3),-D_FORTIFY_SOURCE=2)
link_hardening := -pie -Wl,-z,relro,-z,now,-z,noexecstack

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
instrument += --coverage -O0 -DMEASURING # for tests/child.h
endif
ifneq ($(filter fuzz,$(variant)),)
instrument += -fsanitize=fuzzer-no-link
endif
ifeq ($(variant),)
hardening += -U_FORTIFY_SOURCE $(fortify)
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
$(foreach program,$(unit_sources) $(tool_sources) $(fuzz_sources),$(eval $(call program_depends,$(program))))

$(O)/tests/test_driver_faults $(O)/tests/test_history_faults: $(O)/tests/faults_inject.o

# ---- What a test stands in for: calls of the project's own objects that go to the test's __wrap_CALL instead, by program.
# All that tests/faults_inject.c stands in for.
inject_calls := malloc calloc realloc reallocarray strdup strndup open_memstream free asprintf __asprintf_chk vasprintf __vasprintf_chk fclose ferror \
    pthread_create pthread_mutex_init pthread_rwlock_init pthread_cond_init pthread_condattr_init \
    pthread_condattr_setclock pthread_key_create pthread_setspecific access stat64 lstat64 fstat64 fstatat64 statvfs64 opendir \
    fdopendir readdir64 flock fallocate64 ftruncate64 mkdir mkdirat rename link chown chmod unlink unlinkat remove rmdir mmap64 nftw64 open64 \
    openat64 fcntl64 close realpath getpwuid_r getrandom pread64 pwrite64 fsync fdatasync sqlite3_step \
    sqlite3_prepare_v3 sqlite3_exec sqlite3_bind_null sqlite3_bind_int64 sqlite3_bind_blob64 sqlite3_bind_text64 \
    sqlite3_wal_checkpoint_v2 sqlite3_file_control
wrap_test_faults := $(inject_calls)
wrap_test_history_faults := $(inject_calls)
wrap_test_driver_faults := $(inject_calls) eventfd signalfd fopen64 poll read write
wrap_test_model := clock_gettime
wrap_test_text := dlopen dlsym
wrap_test_restore_run := restore_plan_make
wrap_test_history_errors := storage_transaction_at
wrap_test_head_room := statvfs64 malloc
wrap_test_head_memory := malloc calloc realloc
wrap_test_store_edges := getpwuid_r
wrap_test_body_order := pread64 pwrite64 fdatasync fstatat64
wrap_fuzz_command := fopen64 open64 ioctl syncfs writer_lock_acquire
wrap_test_storage_open := sqlite3_step
wrap_test_storage_salvage := clock_gettime pread64
wrap_test_storage_verify_rules := clock_gettime pread64 sqlite3_step
wrap_test_storage_checkpoint := sqlite3_wal_hook sqlite3_wal_checkpoint_v2 pthread_cond_timedwait
# ----

# The tools that are about the store's own code.
$(O)/tests/tool_sql $(O)/tests/tool_hostile $(O)/tests/tool_growth: $(O)/libtidfs.a

$(unit_programs): $(O)/tests/%: $(support_sources:%.c=$(O)/%.o) $(O)/libtidfs.a
	$(say) LINK $@
	$(Q)$(link) $(addprefix -Wl$(comma)--wrap=,$(wrap_$*)) -o $@ $(filter %.o,$^) $(O)/libtidfs.a $(cmocka_libs) $(libs)

$(tool_programs):
	$(say) LINK $@
	$(Q)$(link) -o $@ $^ $(libs)

$(O)/tests/test_repair_rows $(O)/tests/test_repair_head: $(O)/tests/hostile_make.o $(O)/tests/hostile_use.o
$(O)/tests/fuzz_requests: $(O)/tests/fake_kernel.o $(O)/tests/fake_requests.o $(O)/tests/fake_store.o
$(O)/tests/fuzz_restore: $(O)/tests/fake_store.o
$(O)/tests/fuzz_command $(O)/tests/fuzz_store: $(O)/tests/hostile_make.o $(O)/tests/hostile_use.o

$(fuzz_programs): $(O)/tests/%: $(O)/libtidfs.a
	$(say) LINK $@
	$(Q)$(link) -fsanitize=fuzzer $(addprefix -Wl$(comma)--wrap=,$(wrap_$*)) -o $@ $(filter %.o,$^) $(O)/libtidfs.a $(libs)

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

# The long runs: the same programs as in `make check`, which gives each of them its small share. What they tried, and with what SEED, they print;
# tests/README.md says what each shows. The limits can be lowered in the environment, as in `STATES=5000 make check-crash`.
long_run = TEST_TIMEOUT=$${TEST_TIMEOUT:-14400} $(run_tests)
crash_tests := $(O)/tests/test_powercut tests/mount_crash.sh
fault_tests := $(addprefix $(O)/tests/,test_faults test_history_faults test_driver_faults test_damage test_repair test_repair_rows) tests/mount_disk.sh tests/mount_repair.sh
load_tests := $(O)/tests/test_model tests/mount_load.sh

.PHONY: tools
tools: $(tool_programs)

.PHONY: check-crash
check-crash: $(O)/tidfs $(tool_programs) $(filter $(O)/%,$(crash_tests)) ## power cuts at every write, and 1,000 kills of the driver
	$(Q)STATES=$${STATES:-100000} KILLS=$${KILLS:-1000} $(long_run) $(crash_tests)

.PHONY: check-fault
check-fault: $(O)/tidfs $(tool_programs) $(filter $(O)/%,$(fault_tests)) ## every failure of a call, every damaged byte, disks that fail
	$(Q)FAULTS=$${FAULTS:-100} STRIDE=$${STRIDE:-1} DISKS=$${DISKS:-50} DRIVER_FAULTS=$${DRIVER_FAULTS:-0} REPAIRS=$${REPAIRS:-3000} PAGES=$${PAGES:-1} VALUES=$${VALUES:-1} $(long_run) $(fault_tests)

.PHONY: check-load
check-load: $(O)/tidfs $(tool_programs) $(filter $(O)/%,$(load_tests)) ## a million operations beside a model, and half an hour of load
	$(Q)OPERATIONS=$${OPERATIONS:-1000000} LOAD_SECONDS=$${LOAD_SECONDS:-1800} $(long_run) $(load_tests)

.PHONY: check-fuzz
check-fuzz: ## run each fuzzer for FUZZ_SECONDS
	$(Q)$(MAKE) --no-print-directory D=fuzz CC=clang fuzz-built

.PHONY: fuzz-built
fuzz-built: $(fuzz_programs)
	$(Q)FUZZ_SECONDS=$(strip $(FUZZ_SECONDS)) scripts/run-fuzzers --only '$(T)' $(abspath $(O)/corpus) $(abspath $(fuzz_programs))

# Assertions are left out, as their other side is never to be taken.
.PHONY: coverage
coverage: ## measure which branches of store/ and history/ the unit and fault tests take
	$(Q)$(MAKE) --no-print-directory D=cov CPPFLAGS='$(CPPFLAGS) -DNDEBUG' CFLAGS='-g -Wno-error' coverage-built

.PHONY: coverage-built
coverage-built: $(unit_programs)
	$(Q)find $(O) -name '*.gcda' -delete
	$(Q)$(run_tests) $(unit_programs)
	$(Q)scripts/coverage-report.py $(O) tests/branches-not-taken

.PHONY: check-breakages
check-breakages: ## break the code on purpose and see whether the tests notice; T names those of tests/breakages to try
	$(Q)scripts/check-breakages $(T)

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
layers: $(O)/tidfs ## check that includes point down, headers stand alone, --help and the manual agree, and how it was linked
	$(Q)CC='$(CC)' CHECK_CFLAGS='$(defines) $(package_cflags) $(cmocka_cflags)' scripts/check-layers
	$(Q)TIDFS=$(O)/tidfs scripts/check-man
	$(Q)scripts/check-hardening $(if $(variant),--instrumented) $(O)/tidfs

# ---------------------------------------------------------------- installing

bindir := $(DESTDIR)$(PREFIX)/bin
sbindir := $(DESTDIR)$(or $(strip $(SBINDIR)),$(PREFIX)/sbin)
unitdir := $(DESTDIR)$(or $(strip $(UNITDIR)),$(PREFIX)/lib/systemd/system)
mandir := $(DESTDIR)$(PREFIX)/share/man
docdir := $(DESTDIR)$(PREFIX)/share/doc/tidfs
man_pages := $(sort $(wildcard fs/man/*))
bashdir := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
completions := $(bashdir)/tidfs $(zshdir)/_tidfs $(fishdir)/tidfs.fish
samples := $(sort $(wildcard fs/*.conf))
helpers := mount.tidfs mount.fuse.tidfs
units := $(sort $(wildcard fs/systemd/*))

.PHONY: install
install: $(O)/tidfs ## install the program, the mount helpers, the manual, completion, a systemd unit and a sample configuration
	install -d $(bindir) $(sbindir) $(unitdir) $(docdir)
	install -m 755 $(O)/tidfs $(bindir)/tidfs
	for helper in $(helpers); do ln -sf $(PREFIX)/bin/tidfs $(sbindir)/$$helper || exit 1; done
	for page in $(man_pages); do install -D -m 644 $$page $(mandir)/man$${page##*.}/$${page##*/} || exit 1; done
	install -D -m 644 fs/completion/tidfs.bash $(bashdir)/tidfs
	install -D -m 644 fs/completion/_tidfs $(zshdir)/_tidfs
	install -D -m 644 fs/completion/tidfs.fish $(fishdir)/tidfs.fish
	for unit in $(units); do sed 's|/usr/local/bin/|$(PREFIX)/bin/|' $$unit >$(unitdir)/$${unit##*/} && \
	    chmod 644 $(unitdir)/$${unit##*/} || exit 1; done
	for sample in $(samples); do install -m 644 $$sample $(docdir)/ || exit 1; done
	@case '$(sbindir)' in /sbin | /usr/sbin | $(or $(DESTDIR),/sbin)*) ;; *) \
	    echo 'mount(8) and fstab look for mount.tidfs in /sbin alone: SBINDIR=/sbin puts it there' ;; esac

.PHONY: uninstall
uninstall: ## remove what `make install` with the same settings installed
	rm -f $(bindir)/tidfs $(helpers:%=$(sbindir)/%) $(completions) \
	    $(foreach page,$(man_pages),$(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page))) \
	    $(samples:fs/%=$(docdir)/%) $(units:fs/systemd/%=$(unitdir)/%)
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
