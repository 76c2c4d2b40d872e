// Lines and stacked areas over time, as SVG. A chart is drawn anew for each set of numbers and each width;
// what its lines are is told in its label, for who does not see them.
const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 190, LEFT = 58, RIGHT = 10, TOP = 10, BOTTOM = 24;
const SHORTEST = 5 * 60 * 1000;  // ms that the time axis has at least

export function clock(ms, seconds = false) {
  return new Date(ms).toLocaleTimeString('en-GB', {
    hour: '2-digit', minute: '2-digit', ...(seconds ? {second: '2-digit'} : {})});
}

function make(name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

// The end of the axis and its steps: one, two or five times a power of ten, of 1024-based units for bytes.
function scale(top, bytes) {
  if (!(top > 0)) return {top: 1, step: 0.5};
  let unit = 1;
  if (bytes) while (unit * 1024 <= top) unit *= 1024;
  const rough = top / unit / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough) * power * unit;
  return {top: Math.ceil(top / step - 1e-9) * step, step};
}

export class Chart {
  // options: series [{name, color}], format(value), stacked, area, bytes, fixed (the axis' end)
  constructor(figure, options) {
    this.options = options;
    this.title = figure.querySelector('figcaption').textContent;
    this.figure = figure;
    this.data = null;
    this.legend = document.createElement('ul');
    this.legend.className = 'legend';
    this.svg = make('svg', {role: 'img', height: HEIGHT});
    this.tip = document.createElement('div');
    this.tip.className = 'tip';
    this.tip.hidden = true;
    figure.append(this.legend, this.svg, this.tip);
    this.svg.addEventListener('pointermove', (event) => this.point(event));
    this.svg.addEventListener('pointerleave', () => this.unpoint());
    new ResizeObserver(() => this.draw()).observe(figure);
  }

  // at: moments (ms); columns: for each series a number or null for each moment; limit: a dashed line.
  update(at, columns, {now, limit = null, empty = 'No statements yet'} = {}) {
    this.data = {at, columns, limit, now, empty};
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth || this.figure.clientWidth - 30;
    if (this.data === null || width <= 0) return;
    this.svg.replaceChildren();
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.unpoint();
    const {at, columns, limit, now} = this.data;
    const last = columns.map((c) => c.findLast((v) => v !== null) ?? null);
    this.drawLegend(last);
    const nothing = columns.every((c) => c.every((v) => v === null));
    if (nothing) {
      this.svg.append(make('text', {class: 'empty', x: width / 2, y: HEIGHT / 2}, this.data.empty));
      this.svg.setAttribute('aria-label', `${this.title}: ${this.data.empty}`);
      return;
    }
    const sums = at.map((_, i) => columns.reduce((sum, c) => sum + (c[i] ?? 0), 0));
    const highest = Math.max(limit ?? 0, ...(this.options.stacked ? sums : columns.flat().map((v) => v ?? 0)));
    const {top, step} = this.options.fixed ?? scale(highest, this.options.bytes);
    const from = Math.min(at[0], now - SHORTEST), to = Math.max(now, at.at(-1));
    this.x = (t) => LEFT + (t - from) / (to - from) * (width - LEFT - RIGHT);
    this.y = (v) => TOP + (1 - Math.min(v, top) / top) * (HEIGHT - TOP - BOTTOM);
    this.drawAxes(width, from, to, top, step);
    this.options.stacked ? this.drawStack() : this.drawLines();
    if (limit !== null)
      this.svg.append(make('line', {class: 'limit', x1: LEFT, x2: width - RIGHT, y1: this.y(limit), y2: this.y(limit)}));
    const words = this.options.series.map((s, i) => `${s.name} ${this.text(last[i])}`).join(', ');
    this.svg.setAttribute('aria-label', `${this.title}, from ${clock(from)} to ${clock(to)}; at the end ${words}`);
  }

  text(value) { return value === null ? '\u2013' : this.options.format(value); }

  drawLegend(last) {
    this.legend.replaceChildren(...this.options.series.map((series, i) => {
      const item = document.createElement('li');
      const mark = document.createElement('i');
      mark.className = `f-${series.color}`;
      const value = document.createElement('b');
      value.textContent = this.text(last[i]);
      item.append(mark, `${series.name} `, value);
      return item;
    }));
  }

  drawAxes(width, from, to, top, step) {
    for (let v = 0; v <= top + step / 100; v += step) {
      const y = this.y(v);
      this.svg.append(make('line', {class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y, y2: y}),
        make('text', {x: LEFT - 8, y: y + 4, 'text-anchor': 'end'}, this.options.format(v)));
    }
    const minutes = (to - from) / 60000;
    const every = [1, 2, 5, 10, 15, 30].find((m) => minutes / m <= Math.max(2, (width - LEFT) / 90)) ?? 60;
    const pace = every * 60000;
    for (let t = Math.ceil(from / pace) * pace; t <= to; t += pace) {
      const x = this.x(t);
      if (x > width - RIGHT - 14 || x < LEFT + 14) continue;
      this.svg.append(make('text', {x, y: HEIGHT - 6, 'text-anchor': 'middle'}, clock(t)));
    }
  }

  // Broken where a value is missing.
  drawLines() {
    const {at, columns} = this.data;
    columns.forEach((column, i) => {
      const color = this.options.series[i].color;
      let path = '', area = '', open = -1;
      column.forEach((v, j) => {
        if (v === null) return;
        const start = j === 0 || column[j - 1] === null;
        if (start) open = j;
        const here = `${this.x(at[j]).toFixed(1)} ${this.y(v).toFixed(1)}`;
        path += `${start ? 'M' : 'L'}${here}`;
        area += start ? `M${this.x(at[j]).toFixed(1)} ${this.y(0)}L${here}` : `L${here}`;
        if (j + 1 === column.length || column[j + 1] === null) {
          area += `L${this.x(at[j]).toFixed(1)} ${this.y(0)}Z`;
          if (open === j)  // one by itself would be no line
            this.svg.append(make('circle', {class: `f-${color}`, cx: this.x(at[j]), cy: this.y(v), r: 2.5}));
        }
      });
      if (this.options.area) this.svg.append(make('path', {class: `area single f-${color}`, d: area}));
      this.svg.append(make('path', {class: `line c-${color}`, d: path}));
    });
  }

  drawStack() {
    const {at, columns} = this.data;
    const below = at.map(() => 0);
    columns.forEach((column, i) => {
      const edge = (values) => at.map((t, j) => `${this.x(t).toFixed(1)} ${this.y(values[j]).toFixed(1)}`);
      const under = edge(below);
      column.forEach((v, j) => { below[j] += v ?? 0; });
      if (column.every((v) => !v)) return;
      const over = edge(below);
      const color = this.options.series[i].color;
      if (at.length === 1) {
        this.svg.append(make('circle', {class: `f-${color}`, cx: this.x(at[0]), cy: this.y(below[0]), r: 2.5}));
        return;
      }
      this.svg.append(make('path', {class: `area f-${color}`, d: `M${over.join('L')}L${under.reverse().join('L')}Z`}));
    });
  }

  point(event) {
    if (!this.data || !this.x || this.data.at.length === 0) return;
    const box = this.svg.getBoundingClientRect();
    const wanted = event.clientX - box.left;
    const {at, columns} = this.data;
    let i = 0;
    at.forEach((t, j) => { if (Math.abs(this.x(t) - wanted) < Math.abs(this.x(at[i]) - wanted)) i = j; });
    this.unpoint();
    const x = this.x(at[i]);
    this.cursor = make('line', {class: 'cursor', x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM});
    this.svg.append(this.cursor);
    const lines = [clock(at[i], true), ...this.options.series.map((s, j) => `${s.name} ${this.text(columns[j][i])}`)];
    this.tip.replaceChildren(...lines.map((line) => {
      const row = document.createElement('div');
      row.textContent = line;
      return row;
    }));
    this.tip.hidden = false;
    const room = this.figure.clientWidth - this.tip.offsetWidth - 8;
    const left = x + 30 > room ? x - this.tip.offsetWidth : x + 30;
    this.tip.style.transform = `translate(${Math.max(4, left)}px, ${this.svg.offsetTop + 4}px)`;
  }

  unpoint() {
    this.tip.hidden = true;
    this.cursor?.remove();
    this.cursor = null;
  }
}
