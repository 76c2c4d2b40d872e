#include "proxy/ops/deployment.h"

#include <doctest/doctest.h>

#include <string>

using namespace pgsidecar;
using ops::deploy_phase;

namespace {

ops::deployment example() {
    ops::deployment d;
    d.phase = deploy_phase::switching;
    d.generation = 7;
    d.config = "/etc/pgsidecar/it's: \"new\".yaml";
    d.overrides = {"cache.max_memory=1GB", "a=# b"};
    d.program = "/opt/pg sidecar";
    d.fingerprint = std::string(64, 'a');
    d.green_port = 40001;
    d.green_http_port = 40002;
    d.green = {101, "555"};
    d.blue = {99, "444"};
    d.validated = "PASS at 2026-01-01T00:00:00Z";
    return d;
}

std::string next_of(const ops::deployment& d, const ops::deploy_facts& now) {
    const auto text = ops::describe(d, now);
    return text.substr(text.find("next        ") + 12);
}

}  // namespace

TEST_CASE("deployment: what is written is what is read") {
    const auto d = example();
    const auto read = ops::read_deployment(ops::write_deployment(d));
    REQUIRE(read.problem == "");
    REQUIRE(read.value);
    CHECK(ops::write_deployment(*read.value) == ops::write_deployment(d));
    CHECK(read.value->phase == d.phase);
    CHECK(read.value->config == d.config);
    CHECK(read.value->overrides == d.overrides);
    CHECK(read.value->green == d.green);
    CHECK(read.value->serving == ops::process_mark{});
    const auto empty = ops::read_deployment(ops::write_deployment({}));
    REQUIRE(empty.value);
    CHECK(empty.value->phase == deploy_phase::none);
    CHECK(empty.value->overrides.empty());
}

TEST_CASE("deployment: what is damaged is refused with its line") {
    const auto why = [](const char* text) { return ops::read_deployment(text).problem; };
    CHECK(why("phase: ready\ngeneration: x\n") == "line 2: generation is not valid");
    CHECK(why("phase: nowhere\n") == "line 1: phase is not valid");
    CHECK(why("green_port: 70000\n") == "line 1: green_port is not valid");
    CHECK(why("blue: \"12\"\n") == "line 1: blue is not valid");
    CHECK(why("phase: [\n") != "");
    CHECK(why("later_key: 1\nphase: done\n") == "");
}

TEST_CASE("deployment: the command that starts a generation") {
    const auto d = example();
    CHECK(ops::start_command("systemctl start pgsidecar@{generation}", d) ==
          "systemctl start pgsidecar@7");
    CHECK(ops::start_command("{program} -c {config} {other}", d) ==
          "'/opt/pg sidecar' -c '/etc/pgsidecar/it'\\''s: \"new\".yaml' {other}");
}

TEST_CASE("deployment: what comes next") {
    auto d = example();
    ops::deploy_facts now;
    now.green_runs = now.green_answers = now.blue_runs = true;
    const auto next = [&](deploy_phase phase) {
        d.phase = phase;
        return next_of(d, now);
    };
    CHECK(next(deploy_phase::none).find("deploy green:") == 0);
    CHECK(next(deploy_phase::starting).find("deploy green again") == 0);
    CHECK(next(deploy_phase::ready) == "deploy switch\n");
    CHECK(next(deploy_phase::switching).find("deploy switch again") == 0);
    CHECK(next(deploy_phase::draining).find("nothing: blue ends when") == 0);
    CHECK(next(deploy_phase::done).find("nothing: the switch is done") == 0);
    d.validated.clear();
    CHECK(next(deploy_phase::ready) == "deploy switch --workload FILE (or --no-validate)\n");
    now.changed = true;
    CHECK(next(deploy_phase::ready).find("deploy green again: what was tried out has changed") ==
          0);
    now = {};
    CHECK(next(deploy_phase::ready).find("deploy green again: the one that") == 0);
}

TEST_CASE("deployment: the state as people read it") {
    auto d = example();
    ops::deploy_facts now;
    now.place = "/run/x";
    now.address = "127.0.0.1:6432";
    now.serving = 99;
    now.green_runs = true;
    now.pending = true;
    d.phase = deploy_phase::ready;
    const auto text = ops::describe(d, now);
    CHECK(text.find("place       /run/x, clients connect to 127.0.0.1:6432\n") == 0);
    CHECK(text.find("serving     process 99\n") != std::string::npos);
    CHECK(text.find("phase       ready, generation 7\n") != std::string::npos);
    CHECK(text.find("process 101, does not answer on port 40001\n") != std::string::npos);
    CHECK(text.find("rollback    was begun") != std::string::npos);
    now.serving = 0;
    CHECK(ops::describe({}, now).find("serving     nobody\n") != std::string::npos);
}
