// The mechanism list, the four SCRAM texts, base64 and escaped names. The first byte selects: 'm',
// '1' to '4', 'b', 'e'; the rest is the text.
#include "protocol/sasl.h"

#include <vector>

#include "tests/fuzz/protocol_support.h"

using namespace pgsidecar::protocol;
using fuzz::require;

namespace {

template <class Message>
bool check_text(bytes text, Message& got) {
    if (parse(text, got)) return false;
    require(text.size() <= max_scram_text);
    std::string written;
    write(written, got);
    require(written == text);
    return true;
}

void check_client_first(bytes text) {
    scram_client_first m;
    if (!check_text(text, m)) return;
    require(std::string{m.gs2_header} + std::string{m.bare} == text);
    require(m.nonce.size() <= max_scram_nonce && !m.nonce.empty());
    std::string name;
    require(!scram_unescape(m.username, name));
    require(scram_escape(name) == m.username);
}

void check_server_first(bytes text) {
    scram_server_first m;
    if (!check_text(text, m)) return;
    require(m.iterations >= 1 && m.iterations <= 0x7fffffff);
    require(m.nonce.size() <= max_scram_nonce && base64_decoded_size(m.salt).value() > 0);
}

void check_client_final(bytes text) {
    scram_client_final m;
    if (!check_text(text, m)) return;
    std::string proof;
    require(!base64_decode(m.proof, proof) && proof.size() == scram_key_size);
    require(std::string{m.without_proof} + ",p=" + std::string{m.proof} == text);
}

void check_server_final(bytes text) {
    scram_server_final m;
    if (check_text(text, m)) require(m.verifier.empty() != m.error.empty());
}

void check_mechanisms(bytes data) {
    mechanism_list list;
    if (parse(data, list)) return;
    const std::vector<std::string_view> names{list.begin(), list.end()};
    require(!names.empty());
    for (const auto name : names) require(!name.empty() && list.contains(name));
    std::string written;
    write_sasl_mechanisms(written, names);
    require(written.substr(9) == data);
}

void check_base64(bytes text) {
    std::string decoded;
    const bool good = !base64_decode(text, decoded);
    const auto size = base64_decoded_size(text);
    require(good == size.has_value());
    if (good) require(decoded.size() == *size && base64_encode(decoded) == text);
    std::string back;
    require(!base64_decode(base64_encode(text), back) && back == text);
}

void check_escapes(bytes name) {
    std::string plain;
    if (!scram_unescape(name, plain)) require(scram_escape(plain) == name);
    require(!scram_unescape(scram_escape(name), plain) && plain == name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bytes text = fuzz::view(data, size).substr(1);
    switch (static_cast<char>(data[0])) {
        case 'm':
            check_mechanisms(text);
            break;
        case '1':
            check_client_first(text);
            break;
        case '2':
            check_server_first(text);
            break;
        case '3':
            check_client_final(text);
            break;
        case '4':
            check_server_final(text);
            break;
        case 'b':
            check_base64(text);
            break;
        case 'e':
            check_escapes(text);
            break;
        default:
            break;
    }
    return 0;
}
