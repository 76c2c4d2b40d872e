// Messages of a server. The first byte is the type, the rest the body.
#include "protocol/backend.h"
#include "tests/fuzz/protocol_support.h"

using namespace pgsidecar::protocol;
using fuzz::check_message;
using fuzz::require;
using fuzz::shape;

namespace {

// A writer for messages of our own must agree with the one for messages that were read.
void check_row(bytes body) {
    check_message<data_row>(body, shape::closed, [body](const data_row& m) {
        const std::vector<std::optional<bytes>> values{m.columns.begin(), m.columns.end()};
        require(values.size() == m.columns.count());
        std::string written;
        write_data_row(written, values);
        require(written == fuzz::framed(data_row::type, body));
    });
}

void check_row_description(bytes body) {
    check_message<row_description>(body, shape::closed, [body](const row_description& m) {
        const std::vector<column> columns{m.columns.begin(), m.columns.end()};
        require(columns.size() == m.columns.count());
        std::string written;
        write_row_description(written, columns);
        require(written == fuzz::framed(row_description::type, body));
    });
}

template <class Message>
void check_notice(bytes body) {
    check_message<Message>(body, shape::closed, [](const Message& m) {
        for (const auto field : m.fields) {
            require(field.code != '\0');
            fuzz::touch(field.text);
        }
        fuzz::touch(m.severity());
        fuzz::touch(m.sqlstate());
        fuzz::touch(m.message());
        fuzz::touch(m.detail());
        fuzz::touch(m.hint());
    });
}

template <class Message>
void check_copy(bytes body) {
    check_message<Message>(body, shape::closed, [](const Message& m) {
        for (std::size_t i = 0; i < m.columns.count(); ++i) (void)m.columns[i];
    });
}

void check_authentication(bytes body) {
    authentication probe;
    if (parse(body, probe)) return;
    const bool open = probe.kind == auth_kind::gss_continue ||
                      probe.kind == auth_kind::sasl_continue || probe.kind == auth_kind::sasl_final;
    check_message<authentication>(body, open ? shape::open : shape::closed);
}

void check_command_complete(bytes body) {
    check_message<command_complete>(body, shape::closed, [](const command_complete& m) {
        if (m.row_count()) require(m.tag.find(' ') != std::string_view::npos);
    });
}

void check_rare(char type, bytes body) {
    switch (type) {
        case 'A':
            check_message<notification_response>(body);
            break;
        case 'G':
            check_copy<copy_in_response>(body);
            break;
        case 'H':
            check_copy<copy_out_response>(body);
            break;
        case 'K':
            check_message<backend_key_data>(body, shape::open);
            break;
        case 'V':
            check_message<function_call_response>(body);
            break;
        case 'W':
            check_copy<copy_both_response>(body);
            break;
        case 'v':
            check_message<negotiate_protocol_version>(body);
            break;
        default:
            break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bytes body = fuzz::view(data, size).substr(1);
    const auto type = static_cast<char>(data[0]);
    switch (type) {
        case '1':
            check_message<parse_complete>(body);
            break;
        case '2':
            check_message<bind_complete>(body);
            break;
        case '3':
            check_message<close_complete>(body);
            break;
        case 'C':
            check_command_complete(body);
            break;
        case 'D':
            check_row(body);
            break;
        case 'E':
            check_notice<error_response>(body);
            break;
        case 'I':
            check_message<empty_query_response>(body);
            break;
        case 'N':
            check_notice<notice_response>(body);
            break;
        case 'R':
            check_authentication(body);
            break;
        case 'S':
            check_message<parameter_status>(body);
            break;
        case 'T':
            check_row_description(body);
            break;
        case 'Z':
            check_message<ready_for_query>(body);
            break;
        case 'n':
            check_message<no_data>(body);
            break;
        case 's':
            check_message<portal_suspended>(body);
            break;
        case 't':
            check_message<parameter_description>(body);
            break;
        default:
            check_rare(type, body);
            break;
    }
    return 0;
}
