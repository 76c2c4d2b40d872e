// What a session has without having asked for it: the server's configuration, which it follows, and
// the defaults of its role, which are those of its log-in.
#include <doctest/doctest.h>

#include "tests/core/script.h"
#include "tests/core/two_sessions.h"

using namespace core_test;

namespace {

void publish(two& t, defaults given) {
    t.w.db().want_reload();
    t.w.db().publish(small_catalog(t.w.db().wanted(), given));
}

}  // namespace

TEST_CASE("defaults: a reloaded configuration is followed by the sessions under way") {
    two t;
    t.fill("old");
    CHECK(t.hit());
    publish(t, {.configured = "2"});
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("defaults: a changed default of the role is not this session's") {
    two t;
    t.fill("old");
    publish(t, {.of_app = "German"});
    for (int i = 0; i < 3; ++i) CHECK(!t.hit());
    CHECK(t.reader.outcomes().back() == policy::reason::tainted_session);
    // Whoever logs in now has it.
    wired late{t.w, 3U << 20};
    late.log_in();
    late.client(select_kv);
    CHECK(show(late.to_server()) == show(select_kv));
    late.server(answer("neu"));
    (void)late.to_client();
    late.client(select_kv);
    CHECK(late.to_server().empty());
    late.client_gone();
}

TEST_CASE("defaults: a log-in while they changed may have had either") {
    for (const bool known : {true, false}) {
        CAPTURE(known);
        world w;
        if (!known) w.db().withdraw();
        wired changer{w}, late{w, second_token};
        changer.log_in();
        changer.client(query("ALTER ROLE app SET datestyle = 'German'"));
        late.log_in();
        changer.server(completed("ALTER ROLE") + ready());
        w.db().publish(small_catalog(w.db().wanted(), {.of_app = "German"}));
        for (int i = 0; i < 3; ++i) {
            late.client(select_kv);
            CHECK(show(late.to_server()) == show(select_kv));
            late.server(answer("?"));
        }
        changer.client_gone();
        late.client_gone();
    }
}

TEST_CASE("defaults: a log-in before the catalog is there has those of the first one") {
    world w;
    w.db().withdraw();
    wired early{w};
    early.log_in();
    w.publish();
    early.client(select_kv);
    early.server(answer("v"));
    (void)early.to_server();
    early.client(select_kv);
    CHECK(early.to_server().empty());
    early.client_gone();
}
