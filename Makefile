# Strait. `make help` lists the targets; MODE=release|debug|asan chooses the build, V=1 shows the
# commands.

MODE ?= release
MODES := release debug asan
ifeq ($(filter $(MODE),$(MODES) fuzz),)
$(error MODE is one of: $(MODES))
endif

Q := $(if $(V),,@)
CC ?= cc
PKG_CONFIG ?= pkg-config
OUT := build/$(MODE)
OBJ := $(OUT)/obj
GEN := build/gen

# ---- Flags ----------------------------------------------------------------------------------------

CFLAGS_release := -O2 -g
CFLAGS_debug := -O0 -g3
# What the sanitizers find ends the program: a test that only prints would pass.
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
# The mode of the fuzz targets, with clang: `make fuzz` chooses it. clang reads more into -Wconversion
# than gcc, which has checked the same files.
CFLAGS_fuzz := -O2 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -Wno-implicit-int-conversion
CFLAGS := $(CFLAGS_$(MODE))
STRAIT_CFLAGS := -std=gnu11 $(WARNINGS) -fvisibility=hidden -fPIC -Istack -Iapps -I$(GEN) -MMD -MP
STRAIT_LDFLAGS := -pthread

CMOCKA_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)
PCAP_LIBS = $(shell $(PKG_CONFIG) --libs libpcap)
JANSSON_LIBS = $(shell $(PKG_CONFIG) --libs jansson)
SECCOMP_LIBS = $(shell $(PKG_CONFIG) --libs libseccomp)
SQLITE_LIBS = $(shell $(PKG_CONFIG) --libs sqlite3)
# Debian's libhttp-parser-dev has no pkg-config file.
HTTP_LIBS := -lhttp_parser
PRIMES_LIBS = $(shell $(PKG_CONFIG) --libs primesieve)
GRPC_LIBS = $(shell $(PKG_CONFIG) --libs libnghttp2 libprotobuf-c)
PROGRAM_LIBS = $(PCAP_LIBS) $(HTTP_LIBS) $(PRIMES_LIBS) $(SECCOMP_LIBS) $(JANSSON_LIBS) \
	$(SQLITE_LIBS) $(GRPC_LIBS)
# Only the benchmark compares with lwIP, and does without where it is not installed.
LWIP_INCLUDES = $(shell $(PKG_CONFIG) --variable=includedir lwip 2>/dev/null)

# ---- Where it is installed ------------------------------------------------------------------------

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
# Everything is put below DESTDIR, and is made to be used without it.
DESTDIR ?=

# strait.h is where the version is written down. Libraries of one SONAME may replace each other.
VERSION := $(shell sed -n 's/^\#define STRAIT_VERSION "\(.*\)"/\1/p' stack/strait.h)
SONAME := libstrait.so.$(firstword $(subst ., ,$(VERSION)))

# ---- What is built --------------------------------------------------------------------------------

# Linked by programs and tests, never into libstrait: what needs more than libc, and the simulator.
BESIDE_LIB := stack/host/capture.c stack/link/savefile.c $(wildcard stack/sim/*.c)
LIB_SRC := $(filter-out $(BESIDE_LIB),$(wildcard stack/*.c stack/*/*.c))
APP_SRC := $(filter-out apps/strait.c,$(wildcard apps/*.c apps/*/*.c))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
TCP_SRC := $(wildcard tests/tcp/test_*.c)
SIM_SRC := tests/sim/streams.c tests/sim/calls.c tests/sim/kv.c $(wildcard tests/sim/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/test_*.c)
INTEROP_SRC := $(wildcard tests/interop/test_*.c)
ORACLE_SRC := tests/oracle/test_oracle.c
POSIX_SRC := tests/posix/test_posix.c
UPLINK_SRC := tests/sim/uplink.c
BENCH_SRC := tests/bench/cell.c tests/stores/disk.c tests/stores/etcd.c
KV_SRC := tests/kv/model.c $(wildcard tests/kv/test_*.c)
HISTORY_SRC := $(wildcard tests/history/test_*.c)
TEST_SRC := $(UNIT_SRC) $(TCP_SRC) $(SIM_SRC) $(FUZZ_SRC) $(INTEROP_SRC) $(ORACLE_SRC) $(POSIX_SRC) \
	$(BENCH_SRC) $(UPLINK_SRC) $(KV_SRC) $(HISTORY_SRC)
HARNESS_SRC := $(filter-out $(TEST_SRC) tests/bench/lwip.c,$(wildcard tests/*/*.c))

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))
programs = $(patsubst tests/%.c,$(OUT)/tests/%,$(1))
# The helpers of a test: those of its folder, and what the folder borrows from another one.
BORROWED_tests/oracle/ := tests/tcp/packet.c tests/tcp/notation.c
BORROWED_tests/sim/ = $(filter tests/history/%,$(HARNESS_SRC))
helpers = $(filter $(dir $(1))%,$(HARNESS_SRC)) $(BORROWED_$(dir $(1)))

# Messages: C by protobuf-c, and all files described in one set of bytes, for reflection.
PROTO := $(wildcard apps/*/*.proto)
PROTO_C := $(PROTO:apps/%.proto=$(GEN)/%.pb-c.c)
# Those of the worlds' counter and of etcd, which only tests have.
TEST_PROTO := $(wildcard tests/*/*.proto)
TEST_PROTO_C := $(TEST_PROTO:tests/%.proto=$(GEN)/%.pb-c.c)
TEST_PROTO_OBJ := $(TEST_PROTO_C:$(GEN)/%.c=$(OBJ)/gen-tests/%.o)
PROTO_H := $(PROTO_C:.c=.h) $(TEST_PROTO_C:.c=.h)
PROTO_OBJ := $(PROTO_C:$(GEN)/%.c=$(OBJ)/gen/%.o) $(OBJ)/gen/descriptors.o

LIB_OBJ := $(call objects,$(LIB_SRC))
BESIDE_OBJ := $(call objects,$(BESIDE_LIB))
APP_OBJ := $(call objects,$(APP_SRC)) $(PROTO_OBJ)
UNIT := $(call programs,$(UNIT_SRC))
TCP := $(call programs,$(TCP_SRC))
SIM := $(call programs,$(SIM_SRC))
CORPUS := $(call programs,$(FUZZ_SRC))
KV := $(call programs,$(KV_SRC))
HISTORY := $(call programs,$(HISTORY_SRC))
INTEROP := $(call programs,$(INTEROP_SRC))
ORACLE := $(call programs,$(ORACLE_SRC))
POSIX := $(call programs,$(POSIX_SRC))
BENCH := $(call programs,$(BENCH_SRC))
UPLINK := $(call programs,$(UPLINK_SRC))
LWIP := $(OUT)/tests/bench/lwip
FUZZED_KV := $(patsubst %,apps/kv/%.c,cluster coordinator document download http http_key inspect \
	locks machine messages placement records service wire worker)
FUZZED_OBJ := $(LIB_OBJ) $(call objects,apps/server.c apps/stream.c $(wildcard apps/http/*.c) \
	apps/offer.c apps/primes/primes.c apps/primes/stubs.c \
	$(filter-out apps/rpc/command.c apps/rpc/message_command.c apps/rpc/once.c,\
	$(wildcard apps/rpc/*.c)) $(FUZZED_KV)) $(PROTO_OBJ)
FUZZERS := $(patsubst tests/fuzz/%.c,$(OUT)/%,$(wildcard tests/fuzz/fuzz_*.c))
EXAMPLE := $(OUT)/tests/readme_example
EXAMPLE_RPC := $(OUT)/tests/readme_example_rpc
EXAMPLE_GRPC := $(OUT)/tests/readme_grpc/server

.PHONY: all lib install uninstall install-test tests test unit tcp sim sim-kv model history same
.PHONY: hashes corpus fuzzers fuzz interop torture oracle posix bench uplink asan mutants lint
.PHONY: layers requirements settings header messages fmt clean help
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $(OUT)/strait lib ## the program build/strait and the library (default)
ifeq ($(MODE),release)
all: build/strait

build/strait: $(OUT)/strait
	ln -sf release/strait $@
endif

lib: $(OUT)/libstrait.a $(OUT)/libstrait.so ## the library, static and shared, which needs nothing but libc

# One object whose hidden symbols are local: an embedder sees strait_* and nothing else.
$(OUT)/libstrait.o: $(LIB_OBJ)
	@echo "  LD    $@"
	$(Q)$(LD) -r -o $@ $^
	$(Q)objcopy --localize-hidden $@

$(OUT)/libstrait.a: $(OUT)/libstrait.o
	@echo "  AR    $@"
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $<

$(OUT)/libstrait.so: $(LIB_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(STRAIT_LDFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -o $@ $^

$(OUT)/strait: $(call objects,apps/strait.c) $(APP_OBJ) $(BESIDE_OBJ) $(LIB_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(STRAIT_LDFLAGS) $(LDFLAGS) -o $@ $^ $(PROGRAM_LIBS)

$(OBJ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(STRAIT_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(call objects,apps/strait.c $(APP_SRC) $(TEST_SRC) $(HARNESS_SRC)): | $(PROTO_H)

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: apps/%.proto
	@mkdir -p $(GEN)
	@echo "  PROTO $<"
	$(Q)protoc-c --proto_path=apps --c_out=$(GEN) $<

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: tests/%.proto
	@mkdir -p $(GEN)
	@echo "  PROTO $<"
	$(Q)protoc-c --proto_path=tests --c_out=$(GEN) $<

$(GEN)/descriptors.bin: $(PROTO)
	@mkdir -p $(GEN)
	$(Q)protoc --proto_path=apps --descriptor_set_out=$@ --include_imports $^

$(GEN)/descriptors.c: $(GEN)/descriptors.bin
	$(Q){ echo '#include "rpc/reflection.h"'; echo 'const uint8_t rpc_descriptors[] = {'; \
		od -An -v -tu1 $< | sed 's/\([0-9]\)\( \|$$\)/\1,\2/g'; echo '};'; \
		echo 'const size_t rpc_descriptors_bytes = sizeof(rpc_descriptors);'; } >$@

# What its asserts would find, a message of another type, is no matter of input.
define compile_messages
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(STRAIT_CFLAGS) -DNDEBUG $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
endef

$(OBJ)/gen/%.o: $(GEN)/%.c Makefile | $(PROTO_H)
	$(compile_messages)

$(OBJ)/gen-tests/%.o: $(GEN)/%.c Makefile | $(PROTO_H)
	$(compile_messages)

# ---- Installation ---------------------------------------------------------------------------------

# The lines of the file for pkg-config.
define PC_LINES
'prefix=$(PREFIX)' \
'libdir=$(LIBDIR)' \
'includedir=$(INCLUDEDIR)' \
'' \
'Name: strait' \
'Description: a TCP/IP stack in user space' \
'Version: $(VERSION)' \
'Cflags: -I"$${includedir}"' \
'Libs: -L"$${libdir}" -lstrait' \
'Libs.private: -pthread'
endef

# Quoted: a folder's name may have spaces.
AT_BIN = "$(DESTDIR)$(BINDIR)"
AT_LIB = "$(DESTDIR)$(LIBDIR)"
AT_INCLUDE = "$(DESTDIR)$(INCLUDEDIR)"

install: all ## puts program, library and header below PREFIX (/usr/local); DESTDIR goes in front
	@echo "  INSTALL $(DESTDIR)$(PREFIX)"
	$(Q)install -d $(AT_BIN) $(AT_INCLUDE) $(AT_LIB)/pkgconfig
	$(Q)install -m 755 $(OUT)/strait $(AT_BIN)/strait
	$(Q)install -m 644 stack/strait.h $(AT_INCLUDE)/strait.h
	$(Q)install -m 644 $(OUT)/libstrait.a $(AT_LIB)/libstrait.a
	$(Q)install -m 755 $(OUT)/libstrait.so $(AT_LIB)/libstrait.so.$(VERSION)
	$(Q)ln -sf libstrait.so.$(VERSION) $(AT_LIB)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(AT_LIB)/libstrait.so
	$(Q)printf '%s\n' $(PC_LINES) >$(AT_LIB)/pkgconfig/strait.pc

uninstall: ## takes away what install, of the same PREFIX and DESTDIR, has put there
	$(Q)rm -f $(AT_BIN)/strait $(AT_INCLUDE)/strait.h $(AT_LIB)/pkgconfig/strait.pc \
		$(AT_LIB)/libstrait.a $(AT_LIB)/libstrait.so.$(VERSION) $(AT_LIB)/$(SONAME) \
		$(AT_LIB)/libstrait.so

# ---- Tests ----------------------------------------------------------------------------------------

# A test program is its own file, its helpers, and everything but main.
.SECONDEXPANSION:
$(OUT)/tests/%: $(OBJ)/tests/%.o $$(call objects,$$(call helpers,tests/$$*.c)) \
		$(TEST_PROTO_OBJ) $(APP_OBJ) $(BESIDE_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(STRAIT_LDFLAGS) $(LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(PROGRAM_LIBS)

# In these a node of the store is stood in for (tests/unit/standin.h, tests/fuzz/fuzz_kv_http.c).
STANDIN := kv_node_txn kv_node_read kv_node_cancel kv_node_cluster kv_node_limit kv_node_status \
	kv_node_visit_txns kv_node_journal kv_node_visit_counters kv_journal_visit kv_journal_backup
$(FUZZERS) $(CORPUS) $(call programs,$(wildcard tests/unit/test_kv_http*.c \
	tests/unit/test_kv_service.c tests/unit/test_kv_client.c tests/unit/test_kv_bench.c)): \
	STRAIT_LDFLAGS += $(STANDIN:%=-Wl,--wrap=%)

# A program of its own, since lwIP and Strait have names in common.
$(LWIP): tests/bench/lwip.c Makefile
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) -isystem $(LWIP_INCLUDES) $(LDFLAGS) -o $@ $< -llwip

# What README.md shows is what runs: compiled as by an embedder, with the library and libc alone.
$(EXAMPLE).c: README.md
	@mkdir -p $(@D)
	$(Q)awk '/^```/ { on = 0 } /^\/\* A host on tun0/ { on = 1 } on' $< >$@

$(EXAMPLE): $(EXAMPLE).c $(OUT)/libstrait.a stack/strait.h
	@echo "  LINK  $@"
	$(Q)$(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) -Istack $(LDFLAGS) -o $@ $< $(OUT)/libstrait.a

# This one stands on the RPC library, which is a part of the program.
$(EXAMPLE_RPC).c: README.md
	@mkdir -p $(@D)
	$(Q)awk '/^```/ { on = 0 } /^\/\* A service of one procedure/ { on = 1 } on' $< >$@

$(EXAMPLE_RPC): $(EXAMPLE_RPC).c $(APP_OBJ) $(BESIDE_OBJ) $(LIB_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) -Istack -Iapps $(STRAIT_LDFLAGS) $(LDFLAGS) -o $@ $^ \
		$(PROGRAM_LIBS)

# And this one on messages of its own; the client beside it is in Python.
$(EXAMPLE_GRPC): README.md $(APP_OBJ) $(BESIDE_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)for part in "// greet.proto:greet.proto" "/* A service of one method:server.c" \
			"# Calls demo.Greeter:client.py"; do \
		awk -v first="$${part%:*}" '/^```/ { on = 0 } index($$0, first) == 1 { on = 1 } on' $< \
			>$(@D)/$${part##*:} || exit 1; done
	$(Q)cd $(@D) && protoc-c --c_out=. greet.proto && protoc --python_out=. greet.proto
	$(Q)$(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) -Istack -Iapps -I$(@D) $(STRAIT_LDFLAGS) $(LDFLAGS) \
		-o $@ $(@D)/server.c $(@D)/greet.pb-c.c $(filter %.o,$^) $(PROGRAM_LIBS)

run = @for program in $(1); do echo "== $$program"; $(2) $$program || exit 1; done

unit: $(UNIT) ## the leaves, each alone
	$(call run,$(UNIT))

tcp: $(TCP) ## packet-level scripts against the TCP
	$(call run,$(TCP))

# Worlds from seeds: exactly SEEDS=A..B, or as many as there is time for: as much for clusters as for
# streams, a quarter of it for calls.
SIM_SECONDS ?= 20
WORLDS := $(OUT)/tests/sim/streams $(OUT)/tests/sim/calls $(OUT)/tests/sim/kv
ifdef SEEDS
sim: $(WORLDS)
	@for program in $(WORLDS); do $$program --seeds $(SEEDS) || exit 1; done
else
sim: $(SIM) ## simulated worlds for SIM_SECONDS (20), or exactly SEEDS=A..B
	$(call run,$(filter-out $(WORLDS),$(SIM)))
	$(OUT)/tests/sim/streams --seconds $(SIM_SECONDS)
	$(OUT)/tests/sim/calls --seconds $$((($(SIM_SECONDS) + 3) / 4))
	$(OUT)/tests/sim/kv --seconds $(SIM_SECONDS)
endif

sim-kv: $(OUT)/tests/sim/kv ## worlds of the key-value store alone, likewise
	$< $(if $(SEEDS),--seeds $(SEEDS),--seconds $(SIM_SECONDS))

SAME_SEEDS := 1..20
hashes = $(OUT)/tests/sim/hashes
$(hashes): $(WORLDS)
	$(Q)for program in $^; do $$program --hash --seeds $(SAME_SEEDS) || exit 1; done >$@

same: ## the same seeds give the same worlds in the builds of every MODE
	@for mode in $(MODES); do $(MAKE) --no-print-directory MODE=$$mode hashes || exit 1; done
	@for mode in $(MODES); do \
		cmp build/release/tests/sim/hashes build/$$mode/tests/sim/hashes || exit 1; \
	done; echo "the same in $(MODES): worlds of seeds $(SAME_SEEDS)"

hashes: $(hashes) ## the fingerprints of the worlds of this MODE, which `make same` compares

# The sanitizers take several times as long, and look into a part of the worlds.
MODEL_STATES := $(if $(filter asan debug,$(MODE)),--states 200000)
model: $(KV) ## two-phase commit: the textbook's cases, then every order of messages and crashes
	$(call run,$(filter-out %/model,$(KV)))
	$(OUT)/tests/kv/model $(MODEL_STATES)

history: $(HISTORY) ## the checkers of recorded histories, apart from any workload
	$(call run,$(HISTORY))

corpus: $(CORPUS) ## the committed inputs of the fuzz targets
	$(call run,$(CORPUS))

# libFuzzer calls the target that gives the program its name.
$(OUT)/fuzz_%: $(call objects,$(filter tests/fuzz/%,$(HARNESS_SRC))) $(FUZZED_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(STRAIT_LDFLAGS) $(LDFLAGS) -fsanitize=fuzzer \
		-Wl,--defsym=LLVMFuzzerTestOneInput=$(@F) -o $@ $^ $(PROGRAM_LIBS)

fuzzers: ## builds the fuzz targets, with clang
ifeq ($(MODE),fuzz)
fuzzers: $(FUZZERS)
# The way through the stack is what guides the fuzzer, not that through the harness.
$(FUZZED_OBJ): CFLAGS += -fsanitize=fuzzer-no-link
else
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzzers
endif

TIME ?= 60
fuzz: fuzzers ## runs each fuzz target for TIME seconds (60)
	scripts/fuzz $(TIME)

interop: $(INTEROP) $(EXAMPLE) $(EXAMPLE_RPC) $(EXAMPLE_GRPC) $(OUT)/strait ## the kernel as the peer, over TUN in a network namespace (needs root)
	$(call run,$(INTEROP),STRAIT=$(OUT)/strait EXAMPLE=$(EXAMPLE) EXAMPLE_RPC=$(EXAMPLE_RPC) \
		EXAMPLE_GRPC=$(EXAMPLE_GRPC) scripts/sandbox)

MINUTES ?= 1
COORDINATOR ?= asked
torture: all ## a cluster on TUNs, killed and stopped every second for MINUTES (1; DISK=1: disks fail, too; SEED=n)
	STRAIT=$(OUT)/strait PYTHONDONTWRITEBYTECODE=1 scripts/cluster 3 --coordinator $(COORDINATOR) -- \
		tests/interop/kv_torture.py --seconds $$(($(MINUTES) * 60)) $(if $(DISK),--disk) \
		$(if $(SEED),--seed $(SEED))

oracle: $(ORACLE) ## the same scripts against Strait and the kernel (needs root)
	$(call run,$(ORACLE),scripts/sandbox)

# Python would put its cache beside the sources.
bench: $(BENCH) $(OUT)/strait $(if $(LWIP_INCLUDES),$(LWIP)) ## speed beside baselines in one run (needs root; QUICK=1, ONLY=name)
	$(Q)PYTHONDONTWRITEBYTECODE=1 tests/bench/run $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)') \
		$(OUT)/tests/bench build/bench

uplink: $(UPLINK) ## what a fixed coordinator costs where uplinks are slow: build/uplink.{txt,svg}
	$(Q)$(UPLINK) | tee build/uplink.txt
	$(Q)gnuplot -e "table='build/uplink.txt'; picture='build/uplink.svg'" tests/sim/uplink.gnuplot

install-test: all ## programs in C and C++ build against what `make install` installs
	+tests/install/check $(OUT)/installed

posix: $(POSIX) ## the same socket calls on Strait and on the kernel (needs root)
	$(call run,$(POSIX),scripts/sandbox)

tests: $(UNIT) $(TCP) $(SIM) $(KV) $(HISTORY) $(CORPUS) $(INTEROP) $(ORACLE) $(POSIX) $(BENCH) $(UPLINK) $(EXAMPLE) $(EXAMPLE_RPC) $(EXAMPLE_GRPC) ## builds the test programs

# The rules of the house are read off the plain objects: a sanitizer brings calls and data of its own.
# What is installed is the release build, too.
ifeq ($(MODE),release)
test: layers requirements settings header install-test
endif
test: unit tcp sim model history corpus interop oracle posix ## all tests of this MODE

asan: ## all tests under the address and undefined-behaviour sanitizers
	$(MAKE) MODE=asan test

mutants: ## shows that the tests catch deliberately broken builds
	scripts/mutants

# ---- Care -----------------------------------------------------------------------------------------

C_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')

layers: $(LIB_OBJ) $(BESIDE_OBJ) $(APP_OBJ) ## includes run downward, the core does no I/O and holds no state
	scripts/layers $(OBJ)

requirements: ## each requirement of RFC 9293, hostile letter and lesson has its test or its reason
	scripts/requirements

settings: $(OUT)/strait ## README.md lists the settings as they are (scripts/settings writes the list)
	STRAIT=$< scripts/settings --check

# The compiler is no dependency: where there is none, this is said and passed over.
header: ## strait.h is C++ as well
	@for cxx in $(CXX) clang++; do \
		if command -v $$cxx >/dev/null; then \
			for standard in 11 14 17 20; do \
				echo "  CXX   stack/strait.h ($$standard)"; \
				echo '#include "strait.h"' | $$cxx -x c++ -std=c++$$standard -Wall -Wextra \
					-pedantic -Werror -Istack -fsyntax-only - || exit 1; \
			done; exit; \
		fi; \
	done; echo "header: skipped, there is no C++ compiler"

# clang-tidy reads it too.
messages: $(PROTO_H) ## the C of the .proto files

lint: layers requirements ## format, static analysis, shell scripts
	scripts/lint

fmt: ## formats all C files
	clang-format -i $(C_FILES)

clean: ## removes build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

-include $(PROTO_OBJ:.o=.d) $(TEST_PROTO_OBJ:.o=.d)
-include $(patsubst %.c,$(OBJ)/%.d,$(LIB_SRC) $(BESIDE_LIB) $(APP_SRC) apps/strait.c \
	$(TEST_SRC) $(HARNESS_SRC))
