// The settings of the hand-over and of alerts, and the address of a webhook.
#include "config/webhook_url.h"
#include "tests/config/support.h"

using namespace pgsidecar::config;

TEST_CASE("webhook: an address is taken apart, or the reason says what is wrong") {
    static const struct {
        const char* text;
        const char* host;  // null: refused
        int port;
        const char* target;
    } rows[] = {
        {"http://127.0.0.1", "127.0.0.1", 80, "/"},
        {"http://localhost:9093/alerts?a=b#c", "localhost", 9093, "/alerts?a=b"},
        {"http://[::1]:8080/x", "::1", 8080, "/x"},
        {"http://[::1]", "::1", 80, "/"},
        {"http://relay.example?q", "relay.example", 80, "/?q"},
        {"https://127.0.0.1", nullptr, 0, ""},
        {"http://", nullptr, 0, ""},
        {"http://:80/", nullptr, 0, ""},
        {"http://a b/", nullptr, 0, ""},
        {"http://a/\r\nX: y", nullptr, 0, ""},
        {"http://user:word@127.0.0.1/", nullptr, 0, ""},
        {"http://127.0.0.1:0/", nullptr, 0, ""},
        {"http://127.0.0.1:65536/", nullptr, 0, ""},
        {"http://127.0.0.1:/", nullptr, 0, ""},
        {"http://127.0.0.1:8o/", nullptr, 0, ""},
        {"http://[::1/", nullptr, 0, ""},
        {"http://[::1]x/", nullptr, 0, ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        std::string why;
        const auto got = read_webhook_url(row.text, why);
        CHECK(got.has_value() == (row.host != nullptr));
        CHECK(why.empty() == (row.host != nullptr));
        if (!got || !row.host) continue;
        CHECK(got->host == row.host);
        CHECK(got->port == row.port);
        CHECK(got->target == row.target);
    }
}

TEST_CASE("webhook: what begins with 127. need not be this machine") {
    for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) {
        CAPTURE(host);
        CHECK(is_loopback(host));
    }
    for (const char* host : {"127.0.0.1.example", "128.0.0.1", "localhost.example", "::2", ""}) {
        CAPTURE(host);
        CHECK_FALSE(is_loopback(host));
    }
}

TEST_CASE("alerts: a webhook goes to this machine or to a host that is named") {
    const std::string other = "alerts: {webhook_url: \"http://relay.example:90/x\"";
    CHECK(problems(other + "}") == lines{"f:1: alerts.webhook_url: goes to another machine; name "
                                         "its host in alerts.webhook_hosts"});
    CHECK(problems(other + ", webhook_hosts: [relay.example]}") == lines{});
    CHECK(problems("alerts: {webhook_url: \"http://localhost/x\"}") == lines{});
    CHECK(problems("alerts: {webhook_url: \"https://localhost/x\"}") ==
          lines{"f:1: alerts.webhook_url: does not begin with http://"});
}

TEST_CASE("alerts: a channel needs a connection, and fits a name") {
    CHECK(problems("alerts: {notify_channel: slow}") ==
          lines{"f:1: alerts.notify_channel: has no connection: set alerts.connection, or "
                "upstream.control_connection"});
    CHECK(problems("alerts: {notify_channel: slow, connection: dbname=x}") == lines{});
    CHECK(problems("alerts: {connection: dbname=x, notify_channel: " + std::string(64, 'c') +
                   "}") == lines{"f:1: alerts.notify_channel: is longer than 63 bytes"});
}

TEST_CASE("hand-over: a shared port needs the socket, and its path fits an address") {
    CHECK(problems("so_reuseport: true") ==
          lines{"f:1: so_reuseport: needs takeover_socket: two processes that know nothing of each "
                "other must not cache"});
    CHECK(problems("so_reuseport: true\ntakeover_socket: /run/x.sock") == lines{});
    CHECK(problems("takeover_socket: /" + std::string(90, 'p')) ==
          lines{"f:1: takeover_socket: is longer than 90 bytes"});
}
