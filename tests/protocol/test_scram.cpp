#include "protocol/sasl.h"
#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {
namespace {

// The exchange of RFC 7677, section 3.
constexpr auto client_first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"sv;
constexpr auto server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"sv;
constexpr auto client_final =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv;
constexpr auto server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="sv;
constexpr auto proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="sv;

template <class Message>
void check_texts(std::initializer_list<row> rows) {
    for (const auto& r : rows) {
        CAPTURE(r.name);
        CHECK(outcome<Message>(r.body) == r.want);
        if (r.want != 0) continue;
        const exact copy{r.body};
        Message got{};
        REQUIRE_FALSE(parse(copy, got));
        std::string written;
        write(written, got);
        CHECK(written == r.body);
        CHECK(outcome<Message>(std::string{r.body} + '\0') == int(errc::bad_value));
        CHECK(outcome<Message>(std::string{r.body} + ',') != 0);
    }
}

template <class Message>
void check_prefixes(std::string_view text, std::size_t first_good) {
    for (std::size_t size = 0; size < text.size(); ++size) {
        CAPTURE(size);
        CHECK((outcome<Message>(text.substr(0, size)) == 0) == (size >= first_good));
    }
}

}  // namespace

TEST_CASE("scram client-first: each text yields one named outcome") {
    check_texts<scram_client_first>({
        {"RFC 7677", client_first, 0},
        {"libpq: no name", "n,,n=,r=abc"sv, 0},
        {"y: binding not offered", "y,,n=,r=abc"sv, 0},
        {"binding", "p=tls-server-end-point,,n=,r=abc"sv, 0},
        {"authzid", "n,a=bob,n=ann,r=abc"sv, 0},
        {"escapes", "n,,n=a=2Cb=3Dc,r=abc"sv, 0},
        {"extensions", "n,,n=,r=abc,x=1,Y=2=3"sv, 0},
        {"mandatory extension", "n,,m=ext,n=,r=abc"sv, int(errc::bad_value)},
        {"other flag", "z,,n=,r=abc"sv, int(errc::bad_value)},
        {"flag with more", "nn,,n=,r=abc"sv, int(errc::bad_value)},
        {"no binding name", "p=,,n=,r=abc"sv, int(errc::bad_value)},
        {"binding name with a blank", "p=a b,,n=,r=abc"sv, int(errc::bad_value)},
        {"empty authzid", "n,a=,n=,r=abc"sv, int(errc::bad_value)},
        {"bad escape", "n,,n=a=2Xb,r=abc"sv, int(errc::bad_value)},
        {"escape cut off", "n,,n=a=2,r=abc"sv, int(errc::bad_value)},
        {"lower-case escape", "n,,n=a=2c,r=abc"sv, int(errc::bad_value)},
        {"empty nonce", "n,,n=,r="sv, int(errc::bad_value)},
        {"nonce with a blank", "n,,n=,r=a b"sv, int(errc::bad_value)},
        {"nonce beyond ASCII", "n,,n=,r=a\xff"sv, int(errc::bad_value)},
        {"wrong order", "n,,r=abc,n="sv, int(errc::bad_value)},
        {"empty extension", "n,,n=,r=abc,x="sv, int(errc::bad_value)},
        {"extension without a letter", "n,,n=,r=abc,1=2"sv, int(errc::bad_value)},
        {"two commas", "n,,n=,r=abc,,x=1"sv, int(errc::bad_value)},
    });
    check_prefixes<scram_client_first>(client_first, client_first.find("r=") + 3);
}

TEST_CASE("scram client-first: the parts that the signature covers are the client's own bytes") {
    const exact in{"p=tls-server-end-point,a=bob,n=ann,r=abc,x=1"sv};
    scram_client_first got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.gs2_header == "p=tls-server-end-point,a=bob,");
    CHECK(got.bare == "n=ann,r=abc,x=1");
    CHECK(got.binding == 'p');
    CHECK(got.binding_name == "tls-server-end-point");
    CHECK(got.authzid == "bob");
    CHECK(got.username == "ann");
    CHECK(got.nonce == "abc");
    CHECK(got.extensions == "x=1");
}

TEST_CASE("scram client-first: each kind of name ends where its alphabet does") {
    const auto with = [](std::string_view before, int c, std::string_view after) {
        return std::string{before} + static_cast<char>(c) + std::string{after};
    };
    std::string nonce;
    std::string binding;
    std::string extension;
    for (int c = 1; c < 256; ++c) {
        const auto byte = static_cast<char>(c);
        if (outcome<scram_client_first>(with("n,,n=,r=x", c, "y")) == 0) nonce += byte;
        if (outcome<scram_client_first>(with("p=", c, ",,n=,r=x")) == 0) binding += byte;
        if (outcome<scram_client_first>(with("n,,n=,r=x,", c, "=1")) == 0) extension += byte;
    }
    const auto upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"s;
    const auto lower = "abcdefghijklmnopqrstuvwxyz"s;
    CHECK(nonce.size() == 0x7e - 0x21);  // printable, without the comma
    CHECK(nonce.front() == '!');
    CHECK(nonce.back() == '~');
    CHECK(nonce.find(',') == std::string::npos);
    CHECK(binding == "-.0123456789" + upper + lower);
    CHECK(extension == upper + lower);
}

TEST_CASE("scram: texts that end amid an attribute are truncated, not wrong") {
    CHECK(outcome<scram_client_first>("") == int(errc::truncated));
    CHECK(outcome<scram_client_first>("n") == int(errc::truncated));
    CHECK(outcome<scram_client_first>("n,,n=,r=x,") == int(errc::truncated));
    CHECK(outcome<scram_client_first>("n,,n==2C=3Dx,r=x") == 0);
    CHECK(outcome<scram_client_first>("n,,n==2C=,r=x") == int(errc::bad_value));
    CHECK(outcome<scram_client_first>("n,,n===2C,r=x") == int(errc::bad_value));
}

TEST_CASE("scram: a struct that is used again keeps nothing of the text before") {
    scram_client_first first;
    REQUIRE_FALSE(parse("p=tls-server-end-point,a=bob,n=ann,r=abc,x=1"sv, first));
    REQUIRE_FALSE(parse(client_first, first));
    CHECK(first.binding_name.empty());
    CHECK(first.authzid.empty());
    CHECK(first.extensions.empty());
    scram_server_final last;
    REQUIRE_FALSE(parse(server_final, last));
    REQUIRE_FALSE(parse("e=invalid-proof"sv, last));
    CHECK(last.verifier.empty());
    REQUIRE_FALSE(parse(server_final, last));
    CHECK(last.error.empty());
}

TEST_CASE("scram server-first: each text yields one named outcome") {
    check_texts<scram_server_first>({
        {"RFC 7677", server_first, 0},
        {"one round", "r=abc,s=AAAA,i=1"sv, 0},
        {"most rounds", "r=abc,s=AAAA,i=2147483647"sv, 0},
        {"extensions", "r=abc,s=AAAA,i=4096,x=1"sv, 0},
        {"no rounds", "r=abc,s=AAAA,i=0"sv, int(errc::bad_value)},
        {"leading zero", "r=abc,s=AAAA,i=04096"sv, int(errc::bad_value)},
        {"negative rounds", "r=abc,s=AAAA,i=-4096"sv, int(errc::bad_value)},
        {"signed rounds", "r=abc,s=AAAA,i=+4096"sv, int(errc::bad_value)},
        {"rounds beyond an int", "r=abc,s=AAAA,i=2147483648"sv, int(errc::bad_value)},
        {"rounds beyond all", "r=abc,s=AAAA,i=99999999999999999999"sv, int(errc::bad_value)},
        {"rounds with more", "r=abc,s=AAAA,i=4096 "sv, int(errc::bad_value)},
        {"empty rounds", "r=abc,s=AAAA,i="sv, int(errc::bad_value)},
        {"empty salt", "r=abc,s=,i=4096"sv, int(errc::bad_value)},
        {"salt that is none", "r=abc,s=AAA,i=4096"sv, int(errc::bad_value)},
        {"mandatory extension", "m=x,r=abc,s=AAAA,i=4096"sv, int(errc::bad_value)},
        {"error instead", "e=unknown-user"sv, int(errc::bad_value)},
    });
    check_prefixes<scram_server_first>(server_first, server_first.size() - 3);
    const exact in{server_first};
    scram_server_first got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.iterations == 4096);
    CHECK(got.salt == "W22ZaJ0SNY7soEsUEjb6gQ==");
    CHECK(got.nonce.starts_with("rOprNGfwEbeRWgbNEkqO%"));
}

TEST_CASE("scram: a nonce or a text of any size is not taken") {
    const auto with_nonce = [](std::size_t size) {
        return "r=" + std::string(size, 'x') + ",s=AAAA,i=4096";
    };
    CHECK(outcome<scram_server_first>(with_nonce(max_scram_nonce)) == 0);
    CHECK(outcome<scram_server_first>(with_nonce(max_scram_nonce + 1)) == int(errc::too_long));
    const auto with_salt = [](std::size_t size) {
        return "r=x,s=" + std::string(size, 'A') + ",i=1";
    };
    CHECK(outcome<scram_server_first>(with_salt(max_scram_text - 12)) == 0);
    CHECK(outcome<scram_server_first>(with_salt(max_scram_text)) == int(errc::too_long));
    CHECK(outcome<scram_client_first>("n,,n=,r=" + std::string(2000, 'x')) == int(errc::too_long));
    const auto with_extension = [](std::size_t size) {
        const auto start = "n,,n=,r=x,e="s;
        return start + std::string(size - start.size(), 'y');
    };
    CHECK(outcome<scram_client_first>(with_extension(max_scram_text)) == 0);
    CHECK(outcome<scram_client_first>(with_extension(max_scram_text + 1)) == int(errc::too_long));
}

TEST_CASE("scram client-final: each text yields one named outcome") {
    const auto with_proof = [](std::string_view text) {
        return "c=biws,r=abc,p=" + std::string{text};
    };
    const auto extended = "c=biws,r=abc,x=1,y=2,p=" + std::string{proof};
    const auto behind = with_proof(proof) + ",x=1";
    const auto short_proof = with_proof("AAAA");
    const auto long_proof = with_proof(std::string{"AAAA"} + std::string{proof});
    const auto no_binding = "c=,r=abc,p=" + std::string{proof};
    check_texts<scram_client_final>({{"RFC 7677", client_final, 0}, {"extensions", extended, 0}});
    const std::initializer_list<row> bad = {
        {"proof of three bytes", short_proof, int(errc::bad_length)},
        {"proof of 35 bytes", long_proof, int(errc::bad_length)},
        {"proof that is no base64", "c=biws,r=abc,p=###="sv, int(errc::bad_value)},
        {"empty proof", "c=biws,r=abc,p="sv, int(errc::bad_value)},
        {"no proof", "c=biws,r=abc"sv, int(errc::truncated)},
        {"extension, no proof", "c=biws,r=abc,x=1"sv, int(errc::truncated)},
        {"attribute behind the proof", behind, int(errc::trailing_bytes)},
        {"no binding", no_binding, int(errc::bad_value)},
        {"no nonce", "c=biws,p=AAAA"sv, int(errc::bad_value)},
    };
    for (const auto& r : bad) {
        CAPTURE(r.name);
        CHECK(outcome<scram_client_final>(r.body) == r.want);
    }
    check_prefixes<scram_client_final>(client_final, client_final.size());
    const exact in{extended};
    scram_client_final got;
    REQUIRE_FALSE(parse(in, got));
    CHECK(got.without_proof == "c=biws,r=abc,x=1,y=2");
    CHECK(got.extensions == "x=1,y=2");
    CHECK(got.proof == proof);
    CHECK(got.channel_binding == "biws");
}

TEST_CASE("scram server-final: a verifier or an error, never both") {
    const auto both = std::string{server_final} + ",e=other-error";
    check_texts<scram_server_final>({
        {"RFC 7677", server_final, 0},
        {"error", "e=invalid-proof"sv, 0},
        {"error with an extension", "e=invalid-proof,x=1"sv, 0},
        {"empty error", "e="sv, int(errc::bad_value)},
        {"short verifier", "v=AAAA"sv, int(errc::bad_length)},
        {"empty verifier", "v="sv, int(errc::bad_value)},
        {"nothing", ""sv, int(errc::truncated)},
        {"other attribute", "x=1"sv, int(errc::bad_value)},
    });
    check_prefixes<scram_server_final>(server_final, server_final.size());
    // What looks like an error behind a verifier is an extension: it must not count as the outcome.
    scram_server_final got;
    REQUIRE_FALSE(parse(both, got));
    CHECK(got.error.empty());
    CHECK(got.extensions == "e=other-error");
}

TEST_CASE("scram_escape: commas and equals signs, there and back") {
    CHECK(scram_escape("a,b=c") == "a=2Cb=3Dc");
    std::string out = "left from before";
    CHECK_FALSE(scram_unescape("a=2Cb=3Dc", out));
    CHECK(out == "a,b=c");
    CHECK(scram_unescape("a=2", out) == errc::bad_value);
    CHECK(scram_unescape("=", out) == errc::bad_value);
    CHECK(scram_unescape("a,b", out) == errc::bad_value);
    CHECK(out.empty());
}

}  // namespace pgsidecar::protocol::test
