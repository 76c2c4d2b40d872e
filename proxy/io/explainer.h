// SHOW EXPLAIN: would this statement be cached in that database, and what decides? Asked of a
// decider that is made for the question, with the rules of now, the database's catalog and what a
// log-in of that user is given. On main()'s thread; waits a little for a catalog that is not there
// yet.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "proxy/core/databases.h"
#include "proxy/ops/console_protocol.h"

namespace pgsidecar::io {

class server;

class explainer {
  public:
    using reply = std::function<void(ops::console_answer)>;

    explainer(boost::asio::io_context& context, server& of) : context_{context}, server_{of} {}
    // `user`: for whom, unless the command says.
    void explain(const ops::console_command& c, const std::string& user, const reply& done);
    void stop() { stopped_ = true; }

  private:
    struct question;
    void wait_for_catalog(const std::shared_ptr<question>& q);
    [[nodiscard]] ops::console_answer judge(const question& q) const;

    boost::asio::io_context& context_;
    server& server_;
    bool stopped_ = false;
};

}  // namespace pgsidecar::io
