#include "protocol/replication.h"

#include <algorithm>

namespace pgsidecar::protocol {
namespace {

std::uint64_t u64(reader& in) noexcept {
    const std::uint64_t high = in.u32();
    return high << 32U | in.u32();
}

std::int64_t i64(reader& in) noexcept { return static_cast<std::int64_t>(u64(in)); }

void u64(writer& out, std::uint64_t v) {
    out.u32(static_cast<std::uint32_t>(v >> 32U));
    out.u32(static_cast<std::uint32_t>(v));
}

truncation truncated(reader& in) {
    truncation out;
    const auto count = in.u32();
    in.u8();  // CASCADE, RESTART IDENTITY
    // The count is the sender's word; what is there is not.
    out.relations.reserve(std::min<std::size_t>(count, in.remaining() / 4));
    for (std::uint32_t i = 0; i < count && !in.failed(); ++i) out.relations.push_back(in.u32());
    return out;
}

logical_message message(reader& in) {
    constexpr std::uint8_t transactional = 1;
    logical_message out;
    out.transactional = (in.u8() & transactional) != 0;
    u64(in);  // where it stands
    out.prefix = in.cstring();
    out.content = in.take(in.u32());
    return out;
}

}  // namespace

std::error_code parse(bytes body, replication_message& out) noexcept {
    reader in{body};
    switch (const auto type = static_cast<char>(in.u8()); type) {
        case xlog_data::type: {
            xlog_data m;
            m.start = u64(in);
            m.end = u64(in);
            m.sent_us = i64(in);
            m.payload = in.rest();
            out = m;
            return in.finish();
        }
        case primary_keepalive::type: {
            primary_keepalive m;
            m.end = u64(in);
            m.sent_us = i64(in);
            m.reply_requested = in.u8() != 0;
            out = m;
            return in.finish();
        }
        default:
            in.fail(errc::unknown_type);
            return in.error();
    }
}

void write(std::string& out, const standby_status& m) {
    writer w{out};
    w.u8('r');
    for (int i = 0; i < 3; ++i) u64(w, m.position);
    u64(w, static_cast<std::uint64_t>(m.sent_us));
    w.u8(m.reply_requested ? 1 : 0);
}

std::error_code parse(bytes payload, wal_message& out) {
    reader in{payload};
    switch (static_cast<char>(in.u8())) {
        case 'B': {
            begin_transaction m;
            m.commit = u64(in);
            m.committed_us = i64(in);
            m.xid = in.u32();
            out = m;
            return in.finish();
        }
        case 'C': {
            commit_transaction m;
            in.u8();  // flags, of which there are none
            m.commit = u64(in);
            m.end = u64(in);
            m.committed_us = i64(in);
            out = m;
            return in.finish();
        }
        case 'R':
            out = relation_description{in.u32()};
            return in.error();  // names and columns are the catalog's to tell
        case 'I':
        case 'U':
        case 'D':
            out = row_change{in.u32()};
            return in.error();
        case 'T':
            out = truncated(in);
            return in.finish();
        case 'M':
            out = message(in);
            return in.finish();
        case 'O':
        case 'Y':
            out = other_message{};
            return {};
        default:
            in.fail(errc::unknown_type);
            return in.error();
    }
}

}  // namespace pgsidecar::protocol
