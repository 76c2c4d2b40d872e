// A session whose client speaks with the admin console: it logs in, and what it says then is shown
// to the console's protocol; the session waits for its end. Joined here as proxy/io/pump_console
// does.
#include <doctest/doctest.h>

#include <optional>

#include "proxy/ops/console_protocol.h"
#include "tests/core/script.h"
#include "tests/core/toy_crypto.h"

using namespace core_test;
namespace ops = pgsidecar::ops;
using phase = core::session_overview::phase;

namespace {

std::string startup(std::string_view database = "pgsidecar",
                    std::uint32_t version = protocol::protocol_3_0) {
    return client_startup({{"database", database}, {"application_name", "psql"}}, version);
}
std::string typed(std::string_view password) { return message(protocol::password{password}); }

class at_console {
  public:
    explicit at_console(core::auth_method method = core::auth_method::trust) : method_{method} {
        w.options.console = &toy_crypto;
        w.options.client_idle_timeout = std::chrono::seconds{1};
    }
    ~at_console() {
        if (!closing) gone();
        CHECK(connects == 0);  // nothing of it is for a server
        CHECK(to_server == "");
        CHECK(w.unrest({}) == "");
    }
    at_console(const at_console&) = delete;
    at_console& operator=(const at_console&) = delete;

    void client(std::string_view bytes) {
        rest_.append(bytes);
        show();
    }
    void answer(ops::console_answer a = {}) {
        protocol_->answer(std::move(a), out_);
        asks.reset();
        after();
        show();
    }
    void gone() {
        w_todo([this](auto& todo) { s.on_client_closed(todo); });
    }
    void w_todo(const auto& call) {
        core::actions todo;
        call(todo);
        perform(todo);
    }
    std::string said() { return std::exchange(out_, {}); }
    [[nodiscard]] std::size_t held() const { return rest_.size(); }
    [[nodiscard]] bool open() const { return protocol_.has_value(); }

    world w;
    core::session s{w.services(), 1U << 20U};
    std::optional<ops::console_command> asks;  // to be carried out
    std::string to_server, refused_because;
    unsigned connects = 0;
    bool closing = false;

  private:
    void show() {
        while (!closing && !rest_.empty()) {
            std::size_t used = 0;
            if (protocol_) {
                used = protocol_->on_client(rest_, out_);
                rest_.erase(0, used);
                after();
            } else {
                core::actions todo;
                used = s.on_client(rest_, w.now, todo);
                rest_.erase(0, used);
                perform(todo);
            }
            if (used == 0) return;
        }
    }
    void after() {
        closing = closing || protocol_->closed();
        if (auto command = protocol_->request()) asks = std::move(command);
    }
    void perform(core::actions& todo) {
        for (const auto piece : todo.client.pieces()) out_.append(piece);
        for (const auto piece : todo.server.pieces()) to_server.append(piece);
        if (!todo.refused_because.empty()) refused_because = todo.refused_because;
        connects += todo.connect_upstream || todo.acquire_server || todo.join_pool ? 1 : 0;
        closing = closing || todo.close;
        if (todo.ask_login) {
            core::client_login given;
            given.user = s.user();
            given.secret = "right";
            given.random.assign(core::client_login::random_size + core::scram_nonce_size, 'r');
            return w_todo([&](auto& next) { s.on_login_rules(method_, std::move(given), next); });
        }
        if (!todo.open_console) return;
        s.on_pool_joined(7, std::string(32, 'k'));
        protocol_.emplace(ops::console_client{
            s.user(), s.database_name(), s.overview().application_name, ops::console_role::admin,
            s.client_pid(), s.client_key(), "pgsidecar 0.1.0"});
        protocol_->greet(out_);
    }

    core::auth_method method_;
    std::optional<ops::console_protocol> protocol_;
    std::string rest_, out_;
};

// One that has been greeted.
struct greeted : at_console {
    greeted() {
        client(startup());
        REQUIRE(open());
        (void)said();
    }
};

}  // namespace

TEST_CASE("console session: the start, whatever pieces it comes in") {
    const auto bytes = startup();
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        CAPTURE(cut);
        at_console c;
        c.client(std::string_view{bytes}.substr(0, cut));
        CHECK_FALSE(c.open());
        c.client(std::string_view{bytes}.substr(cut));
        REQUIRE(c.open());
        CHECK(c.s.at_console());
        CHECK(c.s.logged_in());
        CHECK(c.s.client_pid() == 7);
        CHECK(c.s.client_key() == "kkkk");  // as protocol 3.0 has it
        CHECK(c.s.server_pid() == 0);
        const auto seen = c.s.overview();
        CHECK(seen.is == phase::console);
        CHECK(seen.user == "app");
        CHECK(seen.database == "pgsidecar");
        CHECK(seen.application_name == "psql");
        const auto said = show(c.said());
        CHECK(said.starts_with("R"));
        CHECK(said.find("K") != std::string::npos);
        CHECK(said.find("Z") != std::string::npos);
    }
    at_console other;
    other.client(startup("pgbouncer", 0x00030002));
    CHECK(other.open());
    CHECK(other.s.client_key().size() == 32);
}

TEST_CASE("console session: a password is asked for, and a wrong one opens nothing") {
    at_console right{core::auth_method::password};
    right.client(startup());
    CHECK_FALSE(right.open());
    CHECK(show(right.said()) ==
          show(message(protocol::authentication{protocol::auth_kind::cleartext_password, {}})));
    right.client(typed("right"));
    CHECK(right.open());

    at_console wrong{core::auth_method::password};
    wrong.client(startup());
    (void)wrong.said();
    wrong.client(typed("wrong") + query("SHOW POOLS"));
    CHECK_FALSE(wrong.open());
    CHECK(wrong.closing);
    CHECK(wrong.said().find("28P01") != std::string::npos);
    CHECK(wrong.refused_because != "");
}

TEST_CASE("console session: where there is no console its name is a database's") {
    world w;
    wired l{w};
    l.client(startup());
    CHECK(l.connect);
    CHECK_FALSE(l.session().at_console());
    l.client_gone();
}

TEST_CASE("console session: a command is carried out, and what comes meanwhile waits for it") {
    greeted c;
    const auto next = query("SHOW VERSION");
    c.client(query("PAUSE shop") + next);
    REQUIRE(c.asks);
    CHECK(c.asks->what == ops::console_command::kind::pause);
    CHECK(c.asks->name == "shop");
    CHECK(c.said() == "");
    CHECK(c.held() == next.size());
    CHECK(c.s.overview().is == phase::console);
    c.answer();
    CHECK(show(c.said()).starts_with(show(completed("PAUSE") + ready())));
    CHECK(c.held() == 0);
    CHECK_FALSE(c.closing);
}

TEST_CASE("console session: nothing that concerns other sessions concerns this one") {
    greeted c;
    c.client(query("PAUSE"));
    c.asks.reset();
    CHECK(c.s.deadline() == core::limiter::never);
    CHECK_FALSE(c.s.idle());
    c.w_todo([&](auto& todo) { CHECK_FALSE(c.s.on_cancel(todo)); });  // no query of a server's
    c.w_todo([&](auto& todo) { c.s.on_switched(todo); });
    c.w.dbs.suspend();
    c.w.dbs.resume_anew();
    // Its bytes are not the session's any more.
    c.w_todo([&](auto& todo) { CHECK(c.s.on_client(query("SELECT 1"), c.w.now, todo) == 0); });
    CHECK(c.said() == "");
    CHECK_FALSE(c.closing);
    c.answer();
    CHECK(show(c.said()) == show(completed("PAUSE") + ready()));
}

TEST_CASE("console session: Terminate ends it without a word, behind what was asked") {
    greeted c;
    c.client(message(protocol::terminate{}));
    CHECK(c.closing);
    CHECK(c.said() == "");

    greeted busy;
    busy.client(query("PAUSE") + message(protocol::terminate{}));
    REQUIRE(busy.asks);
    CHECK_FALSE(busy.closing);
    busy.answer();
    CHECK(show(busy.said()) == show(completed("PAUSE") + ready()));
    CHECK(busy.closing);
}

TEST_CASE("console session: a client that vanishes, in each state") {
    const std::string log_in = startup(), command = query("PAUSE");
    const struct {
        const char* name;
        std::string bytes;
        core::auth_method method = core::auth_method::trust;
    } rows[] = {
        {"before anything", ""},
        {"in the start-up packet", log_in.substr(0, log_in.size() - 3)},
        {"before the password", log_in, core::auth_method::password},
        {"greeted", log_in},
        {"in the middle of a message", log_in + command.substr(0, 4)},
        {"while its command is carried out", log_in + command},
        {"with more behind it", log_in + command + command},
    };
    for (const auto& row : rows) {
        for (const bool half : {false, true}) {
            CAPTURE(row.name);
            CAPTURE(half);
            at_console c{row.method};
            c.client(row.bytes);
            (void)c.said();
            // It sends no more, or it is gone: nothing is owed that the session would wait for.
            if (half)
                c.w_todo([&](auto& todo) { c.s.on_client_finished(todo); });
            else
                c.gone();
            CHECK(c.closing);
            CHECK(c.s.closed());
            CHECK(c.said() == "");
            c.w_todo([&](auto& todo) { c.s.on_client_closed(todo); });  // once more does no harm
            CHECK(c.said() == "");
        }
    }
}

TEST_CASE("console session: a frame that is too long ends it, with a word") {
    using namespace std::literals;
    const auto size = ops::console_protocol::longest_message;
    std::string head{'Q'};
    for (int shift = 24; shift >= 0; shift -= 8)
        head.push_back(static_cast<char>((size + 4) >> static_cast<unsigned>(shift) & 0xffU));
    for (const auto& bytes : {head, "Q\x7f\xff\xff\xff"s, "Q\xff\xff\xff\xff"s, "Q\0\0\0\3"s}) {
        for (const bool behind : {false, true}) {
            CAPTURE(bytes.size());
            greeted c;
            c.client((behind ? query("PAUSE") : std::string{}) + bytes);
            if (behind) {
                CHECK_FALSE(c.closing);  // one after the other
                REQUIRE(c.asks);
                c.answer();
                const auto done = completed("PAUSE") + ready();
                const auto said = c.said();
                CHECK(said.starts_with(done));
                CHECK(said.find("08P01") != std::string::npos);
            } else {
                CHECK(c.said().find("08P01") != std::string::npos);
            }
            CHECK(c.closing);
        }
    }
}

TEST_CASE("console session: a shutdown and an operator's KILL are told") {
    for (const bool kill : {false, true}) {
        greeted c;
        c.client(query("PAUSE"));
        c.w_todo([&](auto& todo) { kill ? c.s.on_kill(todo) : c.s.on_shutdown(todo); });
        CHECK(c.closing);
        CHECK(c.s.closed());
        CHECK(c.said().find("57P01") != std::string::npos);
    }
    greeted refused;
    refused.w_todo([&](auto& todo) { refused.s.refuse("28000", "not allowed", todo); });
    CHECK(refused.closing);
    CHECK(refused.said().find("28000") != std::string::npos);
}
