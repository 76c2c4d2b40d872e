// Page sizes: a LIMIT above max_page_size is refused, and a SELECT without one, where the rule of
// its tables asks for it, is refused or ends after default_page_size rows. The server is asked for
// one row more than that, so that the client is told only when something is missing.
#include <utility>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/page.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

// True: refused, with the error kept. `page`: the rows after which the answer ends; 0: none.
bool session::judge_page(const statement_text& text, const protocol::bind* values,
                         std::uint32_t& page, actions& out) {
    if (!limits_ || skipping_) return false;
    const auto& all = text.facts().statements;
    const bool judged = limits_->pages_judged;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto wish = page_of(text, i, values);
        if (wish.is == page_wish::kind::rows && limits_->bounds_pages()) {
            if (!judged && rules(limits_->page(wish.rows), out)) return true;
        } else if (wish.is == page_wish::kind::all && all.size() == 1) {
            const auto planned = services_.decide.plan_for(text, *database_, scope());
            const auto unlimited = planned->read.unlimited;
            if (unlimited == policy::unlimited_select::refuse) {
                if (!judged && rules(limits_->page_needed(), out)) return true;
            } else if (unlimited == policy::unlimited_select::cut) {
                page = limits_->page_to_cut_at();
            }
        }
    }
    return false;
}

// A simple query as the extended protocol asks it, which can stop after some rows. The client sees
// the answer of a simple query.
void session::forward_cut_query(const std::shared_ptr<const statement_text>& text,
                                std::uint32_t page, actions& out) {
    unholdable_ = false;
    batch_writes_ = batch_rows_ = false;
    limits_->request_consumed();
    out.outcomes.push_back(policy::reason::row_limit);
    auto effects = plan_of(*text);
    inject_parse(
        "", std::make_shared<const prepared>(prepared{.text = text, .types = std::string(2, '\0')}),
        out);
    statements_.set_client("", nullptr);
    portals_.drop_unnamed();
    std::string message;
    protocol::write_bind(message, {}, {}, {}, {});
    owe({.what = reply::bind, .injected = true});
    protocol::write(message, protocol::describe{'P', {}});
    owe({.what = reply::describe_portal});
    protocol::write(message, protocol::execute{{}, static_cast<std::int32_t>(page) + 1});
    owe({.what = reply::execute, .page = page, .text = text, .effects = effects});
    note_text_effects(text, *effects);
    protocol::write(message, protocol::sync{});
    owe({.what = reply::sync});
    out.server.own(std::move(message));
}

// The row behind the page has come: what ends the answer says so.
void session::end_page(actions& out) {
    const auto rows = std::to_string(owed_.front().page);
    auto message = limits_->page_ended();
    protocol::write(message, protocol::command_complete{"SELECT " + rows});
    out.client.own(std::move(message));
}

}  // namespace pgsidecar::core
