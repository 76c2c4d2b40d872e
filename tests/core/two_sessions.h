// One session that changes things, and one that reads kv and shows whether the cache still answers.
#pragma once
#include <doctest/doctest.h>

#include "tests/core/world.h"

namespace core_test {

inline const std::string select_kv = query("SELECT v FROM kv");
inline constexpr std::uint64_t second_token = 2U << 20;

// They share the cache.
struct two {
    two() {
        writer.log_in();
        reader.log_in();
    }
    ~two() {
        auto unsettled = writer.unsettled;
        if (!writer.closing) writer.client_gone();
        if (!reader.closing) reader.client_gone();
        CHECK(w.unrest(writer.unsettled) == "");
    }
    void fill(std::string_view value) {
        reader.client(select_kv);
        REQUIRE(show(reader.to_server()) == show(select_kv));
        reader.server(answer(value));
        CHECK(show(reader.to_client()) == show(answer(value)));
    }
    bool hit() {
        reader.client(select_kv);
        const bool here = reader.to_server().empty();
        if (!here) reader.server(answer("from the server"));
        (void)reader.to_client();
        return here;
    }

    world w;
    wired writer{w};
    wired reader{w, second_token};
};

}  // namespace core_test
