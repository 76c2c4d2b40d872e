// The configuration while the program runs, without the program.
#include "proxy/io/configuration.h"

#include <doctest/doctest.h>

#include "tests/config/folder.h"

using namespace pgsidecar;
using config::lines;
using io::configuration;

namespace {

struct running {
    explicit running(const std::string& text) {
        dir.write("f.yaml", text);
        REQUIRE(c.start().ok);
        c.attach([this](const auto& next, const auto& all) {
            if (!refusal.empty()) return refusal;
            now = next;
            all();
            return std::string{};
        });
        now = c.settings();
    }
    const configuration::result& reload(const std::string& text) {
        dir.write("f.yaml", text);
        c.reload("RELOAD", handler());
        return last;
    }
    const configuration::result& set(const std::string& key, const std::string& value) {
        c.set(key, value, handler());
        return last;
    }
    const configuration::result& unset(const std::string& key) {
        c.unset(key, handler());
        return last;
    }
    const configuration::result& rollback() {
        c.rollback(handler());
        return last;
    }
    configuration::handler handler() {
        return [this](const configuration::result& r) { last = r; };
    }
    [[nodiscard]] lines problems() const {
        lines out;
        for (const auto& p : last.problems) out.push_back(dir.without_path(p));
        return out;
    }

    config::folder dir;
    configuration c{{dir.at("f.yaml")}};
    std::shared_ptr<const config::settings> now;
    std::string refusal;
    configuration::result last;
};

}  // namespace

TEST_CASE("configuration: a valid file takes effect, an invalid one changes nothing") {
    running r{"max_client_conn: 5\n"};
    CHECK(r.reload("max_client_conn: 6\nlog: {level: debug}\n").ok);
    CHECK(r.last.changed == lines{"max_client_conn", "log.level"});
    CHECK(r.now->max_client_conn == 6);
    CHECK(r.now == r.c.settings());

    CHECK_FALSE(r.reload("max_client_conn: x\nlogs: 1\n").ok);
    CHECK(r.problems() ==
          lines{"f.yaml:1: max_client_conn: \"x\" is not a whole number from 1 to 1000000",
                "f.yaml:2: logs: is not a known key; did you mean log?"});
    CHECK(r.now->max_client_conn == 6);
    CHECK(r.c.current().value.max_client_conn == 6);
    CHECK(r.c.history().size() == 2);
    CHECK(r.c.history().front().why == "RELOAD");
    CHECK(r.c.history().front().changed == lines{"max_client_conn", "log.level"});
}

TEST_CASE("configuration: what the program cannot do is refused, and nothing has changed") {
    running r{""};
    r.refusal = "cert.pem: no such file";
    CHECK_FALSE(r.reload("max_client_conn: 6\n").ok);
    CHECK(r.problems() == lines{"cert.pem: no such file"});
    CHECK(r.c.settings()->max_client_conn == 10'000);
    CHECK(r.c.history().size() == 1);
}

TEST_CASE("configuration: what needs a restart waits, the rest applies") {
    running r{"listen_port: 7000\n"};
    CHECK(r.reload("listen_port: 7001\nmax_client_conn: 6\n").ok);
    CHECK(r.last.changed == lines{"max_client_conn"});
    CHECK(r.last.waiting == lines{"listen_port"});
    CHECK(r.now->listen_port == 7000);
    CHECK(r.dir.without_path(r.c.current().origins.at("listen_port")) ==
          "until a restart, then f.yaml:1");
    CHECK(r.reload("listen_port: 7000\nmax_client_conn: 6\n").waiting.empty());
    CHECK(r.c.waiting().empty());
    // It would be valid, but not with what stays.
    CHECK_FALSE(r.reload("listen_port: 7000\nauth_type: md5\nauth_file: users\n").ok);
    CHECK(
        r.problems() ==
        lines{
            "auth_file: is not read while auth_type is relay, but for users of the admin console; "
            "what it needs takes effect only when the program starts anew"});
}

TEST_CASE("configuration: what is SET stands above the file until that says something new") {
    running r{"max_client_conn: 5\ncache: {rules: [{name: a, tables: [x]}]}\n"};
    CHECK(r.set("enable_optimizations", "false").ok);
    CHECK(r.last.changed == lines{"enable_optimizations"});
    CHECK_FALSE(r.now->enable_optimizations);
    CHECK(r.c.current().origins.at("enable_optimizations") == "SET");
    CHECK(r.set("cache.rules[a].mode", "off").ok);
    CHECK(r.now->cache.rules.rules[0].mode == policy::rule_mode::off);
    CHECK_FALSE(r.now->enable_optimizations);

    // Another key of the file: the switch stays off.
    CHECK(r.reload("max_client_conn: 6\ncache: {rules: [{name: a, tables: [x]}]}\n").ok);
    CHECK(r.last.dropped.empty());
    CHECK_FALSE(r.now->enable_optimizations);
    // The very key, or the list that it is in.
    CHECK(r.reload("max_client_conn: 6\ncache: {rules: [{name: a, tables: [x, y]}]}\n").ok);
    CHECK(r.last.dropped == lines{"cache.rules[a].mode"});
    CHECK(r.now->cache.rules.rules[0].mode == policy::rule_mode::on);
    CHECK(r.c.given() == std::map<std::string, std::string>{{"enable_optimizations", "false"}});
    CHECK(r.unset("enable_optimizations").ok);
    CHECK(r.now->enable_optimizations);
    CHECK_FALSE(r.unset("enable_optimizations").ok);
}

TEST_CASE("configuration: what cannot be SET says why, as of the files that were loaded") {
    running r{"cache: {rules: [{name: a, tables: [x]}]}\n"};
    r.dir.write("f.yaml", "nonsense");
    CHECK_FALSE(r.set("cache.rules[b].mode", "off").ok);
    CHECK(r.problems() == lines{"SET cache.rules[b].mode: there is no rule of that name"});
    CHECK_FALSE(r.set("listen_port", "1").ok);
    CHECK(r.problems() == lines{"SET listen_port: takes effect only when the program starts anew"});
    CHECK_FALSE(r.set("cache.max_memory", "1kB").ok);
    CHECK(r.c.given().empty());
    CHECK(r.set("cache.rules[a].mode", "shadow").ok);
}

TEST_CASE("configuration: the last good ones are kept, and come back one by one") {
    running r{"max_client_conn: 1\n"};
    CHECK_FALSE(r.rollback().ok);
    CHECK(r.problems() == lines{"there is no earlier configuration"});
    for (int i = 2; i <= 15; ++i)
        CHECK(r.reload("max_client_conn: " + std::to_string(i) + "\n").ok);
    CHECK(r.reload("max_client_conn: 15\n").ok);  // nothing new: nothing more to return to
    CHECK(r.last.changed.empty());
    CHECK(r.c.history().size() == configuration::most_kept);
    CHECK(r.set("max_client_conn", "99").ok);
    for (unsigned i = 15; i > 6; --i) {
        CHECK(r.rollback().ok);
        CHECK(r.last.changed == lines{"max_client_conn"});
        CHECK(r.now->max_client_conn == i);
        CHECK(r.c.given().empty());
    }
    CHECK_FALSE(r.rollback().ok);
    CHECK(r.reload("max_client_conn: 15\n").ok);  // the file still says so
    CHECK(r.now->max_client_conn == 15);
}

TEST_CASE("configuration: whoever watches the files sees what was not read yet") {
    running r{"max_client_conn: 1\n"};
    CHECK(r.c.disk_fingerprint() == r.c.read_fingerprint());
    r.dir.write("f.yaml", "max_client_conn: 2\n");
    CHECK(r.c.disk_fingerprint() != r.c.read_fingerprint());
    r.c.reload("RELOAD");
    CHECK(r.c.disk_fingerprint() == r.c.read_fingerprint());
    r.dir.write("f.yaml", "max_client_conn: x\n");
    r.c.reload("RELOAD");  // refused, and not tried again before it changes
    CHECK(r.c.disk_fingerprint() == r.c.read_fingerprint());
    CHECK(r.now->max_client_conn == 2);
}
