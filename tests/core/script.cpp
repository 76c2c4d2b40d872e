#include "tests/core/script.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace core_test {

void script::prepare(world& w) const {
    if (limits_) w.limit(*limits_);
    if (tier_) w.share_tier();
}

void script::begin(wired& l) const {
    if (logged_in_) l.log_in(more_);
}

void script::act(wired& l, const step& s, std::string_view bytes) {
    switch (s.what) {
        case step::kind::client:
            l.client(bytes);
            break;
        case step::kind::server:
            l.server(bytes);
            break;
        case step::kind::connected:
            l.connected();
            break;
        case step::kind::cancel:
            (void)l.cancel();
            break;
        case step::kind::cancel_sent:
            REQUIRE(std::exchange(l.cancel_due, false));
            l.cancel_sent();
            break;
        case step::kind::shutdown:
            l.shutdown();
            break;
        case step::kind::released:
            l.database_released();
            break;
        case step::kind::catalog:
            l.catalog_read();
            break;
        case step::kind::later:
            l.later(s.after);
            break;
        case step::kind::tier:
            l.tier_answer(s.found);
            break;
    }
}

void script::play(const cut& c) const {
    world w;
    prepare(w);
    std::vector<core::unsettled_commit> unsettled;
    {
        wired l{w};
        begin(l);
        std::size_t before = 0;
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            const auto& s = steps_[i];
            CAPTURE(i);
            std::string_view rest = s.bytes;
            if (c.everywhere) {
                for (; rest.size() > 1; rest.remove_prefix(1)) act(l, s, rest.substr(0, 1));
            } else if (c.at > before && c.at < before + rest.size()) {
                act(l, s, rest.substr(0, c.at - before));
                rest.remove_prefix(c.at - before);
            }
            act(l, s, rest);
            before += s.bytes.size();
            REQUIRE(show(l.to_server()) == show(s.expected.server));
            REQUIRE(show(l.to_client()) == show(s.expected.client));
        }
        if (!l.closing) l.client_gone();
        unsettled = l.unsettled;
    }
    CHECK(w.unrest(unsettled) == "");
}

void script::play_with_failure(std::size_t at, bool halfway, bool client_dies) const {
    world w;
    prepare(w);
    std::vector<core::unsettled_commit> unsettled;
    {
        wired l{w};
        begin(l);
        for (std::size_t i = 0; i < at && !l.closing; ++i) act(l, steps_[i], steps_[i].bytes);
        const auto& s = steps_[at];
        if (halfway && !l.closing)
            act(l, s, std::string_view{s.bytes}.substr(0, s.bytes.size() / 2));
        if (!l.closing) client_dies ? l.client_gone() : l.server_gone();
        CHECK(l.closing);
        CHECK(l.session().closed());
        unsettled = l.unsettled;
    }
    CHECK(w.unrest(unsettled) == "");
}

void script::play() const { play(cut{}); }

void script::play_everyhow() const {
    play(cut{});
    {
        INFO("byte by byte");
        play(cut{.everywhere = true});
    }
    std::size_t size = 0;
    for (const auto& s : steps_) size += s.bytes.size();
    for (std::size_t at = 1; at < size; ++at) {
        INFO("cut at byte ", at);
        play(cut{.at = at});
    }
    for (std::size_t at = 0; at < steps_.size(); ++at) {
        for (const bool halfway : {false, true}) {
            for (const bool client_dies : {false, true}) {
                INFO((client_dies ? "client" : "server"), " gone at step ", at);
                play_with_failure(at, halfway, client_dies);
            }
        }
    }
}

}  // namespace core_test
