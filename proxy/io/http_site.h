// What the HTTP server has to say, without the sockets: a request as plain text views in, an answer
// out, at once or when the observations are there. On main()'s thread.
//
//     /metrics /healthz /readyz /api/dashboard / and the dashboard's own files
//
// With a token every path but /healthz and /readyz asks for it: "Authorization: Bearer <token>", or
// the password of HTTP's Basic scheme, for which a browser asks by itself. Without one only
// requests for a loopback name are answered: a page of another site, whose name was made to lead
// here, is not.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "proxy/ops/exposition.h"
#include "proxy/ops/history.h"
#include "proxy/ops/observations.h"
#include "proxy/ops/program_state.h"

namespace pgsidecar::io {

struct http_request {
    std::string_view method;
    std::string_view target;
    std::string_view host;           // the header; empty: none
    std::string_view authorization;  // the header; empty: none
};

struct http_answer {
    unsigned status = 200;
    std::string type = "text/plain; charset=utf-8";
    std::string body;
};
[[nodiscard]] http_answer http_error(unsigned status, std::string_view words);

// Where the answers come from. Each asker gets one call, on this thread; never, if the program
// ends.
struct http_sources {
    using snapshot = std::shared_ptr<const ops::observations>;
    std::function<void(std::function<void(const snapshot&)>)> look;
    std::function<const ops::history&()> history;
    std::function<void(std::function<void(ops::program_state)>)> state;
};

class http_site {
  public:
    using taker = std::function<void(http_answer)>;

    // The token is empty where none is asked for.
    http_site(http_sources sources, std::string token, std::size_t tenant_series)
        : sources_{std::move(sources)}, token_{std::move(token)}, exposition_{tenant_series} {}

    // The request's views are not used after the call; `then` may come later.
    void answer(const http_request& request, const taker& then);

  private:
    [[nodiscard]] bool admits(std::string_view authorization) const;
    void metrics(const taker& then);
    void dashboard(const taker& then);
    void readiness(const taker& then);

    http_sources sources_;
    std::string token_;
    ops::exposition exposition_;
};

// The token of http.token_file. `wrong`: why there is none, for a message; empty when all is well.
[[nodiscard]] std::string read_http_token(const config::settings& s, std::string& wrong);

}  // namespace pgsidecar::io
