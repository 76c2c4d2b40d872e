// Asks /api/dashboard every few seconds and shows what it says. Everything from outside becomes text, never
// markup.
import {Chart, clock} from './charts.js';

const PACE = 5000, PATIENCE = 15000;  // ms
const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat('en');

const digits = (v) => v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2);
const trim = (text) => text.includes('.') ? text.replace(/\.?0+$/, '') : text;
const count = (v) => whole.format(v);
const number = (v) => v >= 10000 ? whole.format(Math.round(v)) : trim(digits(v));
const percent = (v) => v === null ? '\u2013' : v > 0 && v < 0.001 ? '<0.1%' : `${trim((v * 100).toFixed(1))}%`;
const unit = (text, word) => `${text}\u00a0${word}`;

function duration(us) {
  if (us === null) return '\u2013';
  if (us > 0 && us < 1000) return unit(trim(digits(us)), '\u00b5s');
  if (us > 0 && us < 1e6) return unit(trim(digits(us / 1000)), 'ms');
  if (us < 120e6) return unit(trim(digits(us / 1e6)), 's');
  return span(us / 1e6);
}

function span(seconds) {
  const s = Math.floor(seconds), days = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24;
  const minutes = Math.floor(s / 60) % 60;
  if (days > 0) return `${unit(days, 'd')} ${unit(hours, 'h')}`;
  if (hours > 0) return `${unit(hours, 'h')} ${unit(minutes, 'min')}`;
  return minutes > 0 ? `${unit(minutes, 'min')} ${unit(s % 60, 's')}` : unit(s, 's');
}

function bytes(v) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (v >= 1024 && at + 1 < units.length) { v /= 1024; ++at; }
  return unit(trim(at === 0 ? String(v) : digits(v)), units[at]);
}

const charts = {
  ratio: new Chart($('chart-ratio'), {
    series: [{name: 'hits', color: 'one'}], area: true, format: percent, fixed: {top: 1, step: 0.25}}),
  latency: new Chart($('chart-latency'), {
    series: [{name: 'p50', color: 'p50'}, {name: 'p95', color: 'p95'}, {name: 'p99', color: 'p99'}],
    format: duration}),
  rate: new Chart($('chart-rate'), {
    series: [{name: 'hits', color: 'one'}, {name: 'misses', color: 'two'}, {name: 'bypasses', color: 'three'},
      {name: 'errors', color: 'four'}],
    stacked: true, format: number}),
  memory: new Chart($('chart-memory'), {
    series: [{name: 'used', color: 'one'}], area: true, bytes: true, format: bytes}),
};

function element(name, text = null, className = '') {
  const node = document.createElement(name);
  if (text !== null) node.textContent = text;
  if (className !== '') node.className = className;
  return node;
}

function say(id, text, note = '') {
  $(id).textContent = text;
  $(`${id}-note`).textContent = note;
}

// Only when something has changed: who reads or copies is not disturbed.
const shown = {};
function fill(id, rows, row, none) {
  const now = JSON.stringify(rows);
  if (shown[id] === now) return;
  shown[id] = now;
  const table = $(id);
  const body = rows.map((one) => {
    const line = element('tr');
    line.append(...row(one));
    return line;
  });
  if (body.length === 0) {
    const cell = element('td', none, 'none');
    cell.colSpan = table.tHead.rows[0].cells.length;
    const line = element('tr');
    line.append(cell);
    body.push(line);
  }
  table.tBodies[0].replaceChildren(...body);
}

const cell = (text) => element('td', text);
const figure = (text) => element('td', text, 'n');

function bar(part, text, near = false) {
  const box = element('div', null, near ? 'bar near' : 'bar'), track = element('span'), level = element('i');
  level.style.width = `${Math.min(100, part * 100)}%`;
  track.append(level);
  track.setAttribute('aria-hidden', 'true');
  box.append(track, element('b', text));
  const out = element('td');
  out.append(box);
  return out;
}

const opened = new Set();  // statements whose whole text is shown
function statement(query) {
  const out = element('td');
  if (query.text.length <= 160) {
    out.append(element('code', query.text));
  } else {
    const more = element('details'), key = `${query.database}\n${query.text}`;
    more.open = opened.has(key);
    more.addEventListener('toggle', () => more.open ? opened.add(key) : opened.delete(key));
    more.append(element('summary', `${query.text.slice(0, 150)}\u2026`), element('code', query.text));
    out.append(more);
  }
  const words = [query.database, query.rule === '' ? 'no rule' : `rule ${query.rule}`, `last: ${query.reason}`];
  out.append(element('span', words.filter((w) => w !== '').join(' \u00b7 '), 'quiet'));
  return out;
}

const queryRow = (q) => [statement(q), figure(count(q.statements)), figure(percent(q.hit_ratio)),
  figure(duration(q.p50_us)), figure(duration(q.p95_us)), figure(duration(q.time_us)), figure(count(q.rows)),
  figure(duration(q.saved_us))];

function tenantRow(t) {
  const limited = t.per_minute > 0;
  const rate = limited ? bar(t.rate_used, percent(t.rate_used), t.rate_used >= 0.8) : cell('no limit');
  if (limited) rate.append(element('span', `of ${count(t.per_minute)} a minute`, 'quiet'));
  const places = t.max_concurrent > 0 ? `${t.running} of ${count(t.max_concurrent)}` : String(t.running ?? 0);
  const running = figure(places);
  if (t.max_concurrent > 0 && t.running / t.max_concurrent >= 0.8) running.classList.add('bad-text');
  const met = Object.entries(t.limits_met ?? {}).map(([name, times]) => `${name} ${count(times)}\u00d7`);
  return [cell(t.tenant), cell(t.tier), rate, running, figure(count(t.statements)),
    figure(percent(t.hit_ratio)), figure(duration(t.p95_us)), cell(met.join(', ') || 'none')];
}

function healthRow(check) {
  const state = element('td', check.status, check.status === 'failed' ? 'bad-text' : check.status === 'ok' ? 'good-text' : '');
  if (check.detail !== '') state.append(element('span', check.detail, 'quiet'));
  return [cell(check.name), state];
}

function showTiles(d) {
  const hour = d.hour, series = d.series, last = series.at.length - 1;
  say('hit-ratio', percent(hour.hit_ratio), `${count(hour.hits)} hits in the last hour`);
  const lately = last < 0 ? 0 : (series.hits[last] + series.misses[last] + series.bypasses[last] +
    series.failures[last]) / (series.length_ms[last] / 1000);
  say('rate', number(lately), `${count(d.totals.statements)} since the start`);
  say('p95', duration(hour.p95_us), `p50 ${duration(hour.p50_us)}, p99 ${duration(hour.p99_us)}`);
  say('saved', duration(d.totals.saved_us), 'by hits, since the start');
  say('memory', bytes(d.cache.bytes), `of ${bytes(d.cache.max_bytes)}; ${count(d.cache.entries)} answers`);
  const waiting = d.clients.waiting + d.requests.queued;
  const servers = d.servers.open > 0 ? `${count(d.servers.open)} shared servers, ${count(d.servers.idle)} idle` : '';
  say('clients', count(d.clients.connected), [`${count(waiting)} waiting`, servers].filter((w) => w !== '').join('; '));
}

function showCharts(d) {
  const s = d.series, quiet = d.totals.statements === 0;
  const perSecond = (column) => column.map((v, i) => quiet ? null : v / (s.length_ms[i] / 1000));
  charts.ratio.update(s.at, [s.hit_ratio], {now: d.now, empty: quiet ? 'No statements yet' : 'Nothing that might be a hit yet'});
  charts.latency.update(s.at, [s.p50_us, s.p95_us, s.p99_us], {now: d.now});
  charts.rate.update(s.at, [s.hits, s.misses, s.bypasses, s.failures].map(perSecond), {now: d.now});
  charts.memory.update(s.at, [quiet && d.cache.bytes === 0 ? s.cache_bytes.map(() => null) : s.cache_bytes],
    {now: d.now, limit: d.cache.max_bytes});
}

function show(d) {
  $('version').textContent = d.version;
  $('uptime').textContent = `running for ${span((d.now - d.started) / 1000)}, since ` +
    new Date(d.started).toLocaleString('en-GB');
  const pill = $('status');
  pill.textContent = d.ready ? 'Ready' : 'Not ready';
  pill.className = d.ready ? 'pill good' : 'pill bad';
  $('updated').textContent = `as of ${clock(d.now, true)}`;
  const notices = [];
  if (!d.optimizations) notices.push('Optimisations are switched off: everything passes through.');
  if (d.metrics.dropped > 0) notices.push(`${count(d.metrics.dropped)} rows of metrics were dropped.`);
  $('notice').textContent = notices.join(' ');
  $('notice').hidden = notices.length === 0;
  showTiles(d);
  showCharts(d);
  fill('queries', d.queries, queryRow, 'No statements yet');
  fill('tenants', d.tenants, tenantRow, 'No statements yet');
  const all = d.reasons.reduce((sum, r) => sum + r.count, 0);
  fill('reasons', d.reasons, (r) => [cell(r.reason), bar(r.count / all, percent(r.count / all)),
    figure(count(r.count))], 'No statements yet');
  fill('health', d.checks, healthRow, 'Nothing is looked at');
}

let latest = null;
function lose(why) {
  document.body.classList.add('lost');
  $('status').textContent = 'Connection lost';
  $('status').className = 'pill bad';
  const from = latest === null ? '' : ` What is shown is from ${clock(latest, true)}.`;
  const text = `${why}${from} Trying again.`;
  if ($('lost').textContent !== text) $('lost').textContent = text;
  $('lost').hidden = false;
}

async function ask() {
  try {
    const answer = await fetch('/api/dashboard', {cache: 'no-store', signal: AbortSignal.timeout(PATIENCE)});
    if (!answer.ok) return lose(answer.status === 401 ? 'The token is not accepted any more: reload the page.'
      : `pgsidecar answers ${answer.status}.`);
    const d = await answer.json();
    latest = d.now;
    document.body.classList.remove('lost');
    $('lost').hidden = true;
    show(d);
  } catch (error) {
    lose(error instanceof TypeError || error.name === 'TimeoutError' ? 'pgsidecar does not answer.'
      : 'The numbers cannot be shown.');
    if (!(error instanceof TypeError || error.name === 'TimeoutError')) console.error(error);
  }
}

async function keepAsking() {
  if (!document.hidden) await ask();
  setTimeout(keepAsking, PACE);
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) ask(); });
keepAsking();
