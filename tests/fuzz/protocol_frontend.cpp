// Messages of a client. The first byte is the type; for the four that share 'p' it is 'p', '1', '2'
// or '3'. The rest is the body.
#include "protocol/frontend.h"
#include "tests/fuzz/protocol_support.h"

using namespace pgsidecar::protocol;
using fuzz::check_message;
using fuzz::require;
using fuzz::shape;

namespace {

void walk_formats(const format_list& list) {
    for (std::size_t i = 0; i < list.count(); ++i) (void)list[i];
}

void walk_values(const value_list& list) {
    std::size_t count = 0;
    for (const auto& value : list) {
        if (value) fuzz::touch(*value);
        ++count;
    }
    require(count == list.count());
}

void check_bind(bytes body) {
    check_message<bind>(body, shape::closed, [](const bind& m) {
        walk_formats(m.formats);
        walk_values(m.values);
        walk_formats(m.result_formats);
        require(m.parameters_raw.size() ==
                m.formats.raw().size() + m.values.raw().size() + m.result_formats.raw().size());
    });
}

void check_types(bytes body) {
    check_message<parse_message>(body, shape::closed, [](const parse_message& m) {
        for (std::size_t i = 0; i < m.types.count(); ++i) (void)m.types[i];
    });
}

void check_call(bytes body) {
    check_message<function_call>(body, shape::closed, [](const function_call& m) {
        walk_formats(m.formats);
        walk_values(m.arguments);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bytes body = fuzz::view(data, size).substr(1);
    switch (static_cast<char>(data[0])) {
        case 'B':
            check_bind(body);
            break;
        case 'C':
            check_message<close>(body);
            break;
        case 'D':
            check_message<describe>(body);
            break;
        case 'E':
            check_message<execute>(body);
            break;
        case 'F':
            check_call(body);
            break;
        case 'H':
            check_message<flush>(body);
            break;
        case 'P':
            check_types(body);
            break;
        case 'Q':
            check_message<query>(body);
            break;
        case 'S':
            check_message<sync>(body);
            break;
        case 'X':
            check_message<terminate>(body);
            break;
        case 'c':
            check_message<copy_done>(body);
            break;
        case 'd':
            check_message<copy_data>(body, shape::open);
            break;
        case 'f':
            check_message<copy_fail>(body);
            break;
        case 'p':
            check_message<password>(body);
            break;
        case '1':
            check_message<sasl_initial_response>(body);
            break;
        case '2':
            check_message<sasl_response>(body, shape::open);
            break;
        case '3':
            check_message<gss_response>(body, shape::open);
            break;
        default:
            break;
    }
    return 0;
}
