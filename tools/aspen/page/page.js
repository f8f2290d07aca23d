/* SPDX-License-Identifier: MIT */
/*
 * What moves in a page of the tools. An element with data-view="NAME" shows what
 * stands below NAME in the page's JSON, by the function of that name below; "-N"
 * tells several apart.
 * Addresses are numbers of pages, which doubles hold whatever the processor.
 */
'use strict';

const color = name =>
    getComputedStyle(document.documentElement).getPropertyValue('--' + name);
const hex = page => '0x' + (BigInt(page) * 4096n).toString(16);
const count = (n, what) => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

function bytes(pages) {
    let size = pages * 4, units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    while (size >= 1024 && units.length > 1) {
        size /= 1024;
        units.shift();
    }
    return `${+size.toFixed(1)} ${units[0]}`;
}

function add(parent, tag, properties, text) {
    const element = Object.assign(document.createElement(tag), properties);
    if (text !== undefined)
        element.textContent = text;
    return parent.appendChild(element);
}

/* A canvas as sharp as the screen, drawn anew when its width or colours change. */
function canvasIn(parent, height, draw) {
    const canvas = add(parent, 'canvas');
    const again = () => {
        const ratio = devicePixelRatio || 1, width = canvas.clientWidth;
        const tall = typeof height === 'function' ? height(width) : height;
        canvas.style.height = tall + 'px';
        canvas.width = width * ratio;
        canvas.height = tall * ratio;
        const at = canvas.getContext('2d');
        at.scale(ratio, ratio);
        draw(at, width, tall);
    };
    addEventListener('resize', again);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
    canvas.again = again;
    again();
    return canvas;
}

function legend(parent, colors) {
    const line = add(parent, 'p', {className: 'legend'});
    for (const [name, what] of colors) {
        const item = add(line, 'span');
        add(item, 'i').style.background = `var(--${name})`;
        item.append(what);
    }
}

/* ---- Addresses ----------------------------------------------------------- */

const protections = [
    ['none', 'no access'], ['read', 'read'], ['write', 'read, write'],
    ['exec', 'read, execute'], ['both', 'write and execute'],
];

/* Of "rw-p". */
function protection(text) {
    if (text[2] === 'x')
        return text[1] === 'w' ? 'both' : 'exec';
    return text[1] === 'w' ? 'write' : text[0] === 'r' ? 'read' : 'none';
}

/*
 * Where pages stand on a line. To scale most of an address space is a hole; so
 * every hole longer than `fold` is drawn that long.
 */
class Line {
    /* Ranges [page, count], in order, none overlaps. */
    constructor(ranges, fold) {
        this.pieces = [];
        let end = 0, at = 0;
        for (const [page, length] of ranges) {
            if (this.pieces.length)
                at += Math.min(page - end, fold);
            this.pieces.push({page, length, at});
            end = page + length;
            at += length;
        }
        this.length = at || 1;
    }
    /* The last piece that begins there or before, by `key`. */
    find(value, key) {
        let low = 0, high = this.pieces.length - 1;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (this.pieces[middle][key] <= value)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
    /* Where a page is. */
    at(page) {
        const i = this.find(page, 'page'), piece = this.pieces[i];
        const next = this.pieces[i + 1];
        const at = piece.at + page - piece.page;
        return Math.max(0, next ? Math.min(at, next.at) : Math.min(at, this.length));
    }
    /* What is there: a page. */
    page(at) {
        const piece = this.pieces[this.find(at, 'at')];
        return Math.floor(piece.page + Math.max(0, at - piece.at));
    }
}

/* Holes become a two-hundredth of what is mapped at most, and all of them
 * together no more than that. */
function folded(ranges) {
    const mapped = ranges.reduce((sum, range) => sum + range[1], 0);
    return new Line(ranges, Math.max(1, mapped / Math.max(200, ranges.length)));
}

/* The part of a line that is looked at, moved by wheel, drag, keys, buttons. */
class View {
    constructor(line) {
        this.show(line);
    }
    show(line) {
        this.line = line;
        this.from = 0;
        this.to = line.length;
    }
    set(from, to) {
        const least = Math.min(8, this.line.length);
        const length = Math.min(Math.max(to - from, least), this.line.length);
        this.from = Math.min(Math.max(0, (from + to - length) / 2),
                             this.line.length - length);
        this.to = this.from + length;
    }
    zoom(factor, at) {
        this.set(at - (at - this.from) * factor, at + (this.to - at) * factor);
    }
    move(part) {
        const length = this.to - this.from;
        const from = Math.min(Math.max(0, this.from + part * length),
                              this.line.length - length);
        this.set(from, from + length);
    }
    x(at, width) {
        return (at - this.from) / (this.to - this.from) * width;
    }
    at(x, width) {
        return this.from + x / width * (this.to - this.from);
    }
}

function steer(canvas, view, changed) {
    const x = event => event.clientX - canvas.getBoundingClientRect().left;
    let last = null;
    canvas.tabIndex = 0;
    canvas.addEventListener('wheel', event => {
        event.preventDefault();
        view.zoom(event.deltaY < 0 ? 1 / 1.5 : 1.5,
                  view.at(x(event), canvas.clientWidth));
        changed();
    }, {passive: false});
    canvas.addEventListener('dblclick', event => {
        view.zoom(1 / 4, view.at(x(event), canvas.clientWidth));
        changed();
    });
    canvas.addEventListener('pointerdown', event => { last = event.clientX; });
    addEventListener('pointerup', () => { last = null; });
    canvas.addEventListener('pointermove', event => {
        if (last === null)
            return;
        view.move((last - event.clientX) / canvas.clientWidth);
        last = event.clientX;
        changed();
    });
    canvas.addEventListener('keydown', event => {
        const keys = {ArrowLeft: () => view.move(-0.2), ArrowRight: () => view.move(0.2),
                      '+': () => view.zoom(1 / 2, (view.from + view.to) / 2),
                      '-': () => view.zoom(2, (view.from + view.to) / 2)};
        if (!keys[event.key])
            return;
        keys[event.key]();
        event.preventDefault();
        changed();
    });
}

const views = {};

/* ---- An address space ---------------------------------------------------- */

/*
 * mappings: [page, count, "rw-p", index of a name, pages resident, swapped]
 * names: texts; runs: [page, count, kind], entries of one kind in a row
 * kinds: what a run's kind is called
 */
views.space = (parent, data) => {
    const {mappings, names, runs, kinds} = data;
    if (!mappings.length)
        return;
    const view = new View(folded(mappings));
    let scaled = false, selected = -1;

    const bar = add(parent, 'div', {className: 'bar'});
    const button = (text, title, act) =>
        add(bar, 'button', {title, onclick: () => { act(); changed(); }}, text);
    button('all', 'the whole space', () => view.set(0, view.line.length));
    button('+', 'nearer', () => view.zoom(1 / 3, (view.from + view.to) / 2));
    button('−', 'farther', () => view.zoom(3, (view.from + view.to) / 2));
    const scale = button('to scale', 'holes as long as they are', () => {
        scaled = !scaled;
        scale.textContent = scaled ? 'fold holes' : 'to scale';
        const [from, to] = [view.line.page(view.from), view.line.page(view.to)];
        const whole = view.from === 0 && view.to === view.line.length;
        view.show(scaled ? new Line(mappings, Infinity) : folded(mappings));
        if (!whole)
            view.set(view.line.at(from), view.line.at(to));
    });
    const find = add(bar, 'input', {type: 'search', className: 'find',
        placeholder: 'an address, or a part of a name'});

    const mappingAt = page => {
        const i = view.line.find(page, 'page');
        return page < mappings[i][0] + mappings[i][1] && page >= mappings[i][0] ? i : -1;
    };
    const tell = i => {
        if (i < 0)
            return '';
        const [page, length, permissions, name, resident, swapped] = mappings[i];
        return `${hex(page)}-${hex(page + length)} ${permissions} ${bytes(length)}` +
            `, ${count(resident, 'page')} resident` +
            (swapped ? `, ${count(swapped, 'page')} swapped` : '') +
            (names[name] ? `  ${names[name]}` : '');
    };

    /* First of the runs that end behind a page. */
    const runBehind = page => {
        let low = 0, high = runs.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (runs[middle][0] + runs[middle][1] <= page)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };

    const draw = (at, width, tall) => {
        const {line} = view, colors = {};
        for (const [name] of protections)
            colors[name] = color(name);
        at.fillStyle = color('hole');
        at.fillRect(0, 22, width, 56);
        let last = -1, lastColor = '';
        for (let i = line.find(view.from, 'at'); i < mappings.length; i++) {
            const piece = line.pieces[i], x = view.x(piece.at, width);
            if (x > width)
                break;
            const paint = colors[protection(mappings[i][2])];
            const right = view.x(piece.at + piece.length, width);
            /* Thousands share a pixel, where one of each colour is enough. */
            if (right < last + 0.25 && paint === lastColor && i !== selected)
                continue;
            at.fillStyle = paint;
            at.fillRect(x, 22, Math.max(right - x - (right - x > 4 ? 1 : 0), 0.7), 56);
            last = Math.max(right, x + 0.7);
            lastColor = paint;
            if (i === selected) {
                at.strokeStyle = color('ink');
                at.lineWidth = 2;
                at.strokeRect(x, 21, Math.max(right - x, 2), 58);
            }
            const text = names[mappings[i][3]];
            if (right - x > 60 && text) {
                at.save();
                at.beginPath();
                at.rect(x, 22, right - x - 4, 30);
                at.clip();
                at.fillStyle = color('paper');
                at.font = '12px system-ui, sans-serif';
                at.fillText(text.replace(/.*\//, ''), x + 4, 40);
                at.restore();
            }
        }
        /* Entries, below. */
        last = -1;
        const first = line.page(view.from);
        const behind = line.page(view.to) + 1;
        for (let i = runBehind(first); i < runs.length; i++) {
            const [page, length, kind] = runs[i];
            if (page > behind)
                break;
            const x = view.x(line.at(page), width);
            const right = Math.max(view.x(line.at(page + length), width), x + 0.5);
            if (right < last + 0.25)
                continue;
            at.fillStyle = color(kinds[kind] === 'swap' ? 'swapped' : 'page');
            at.fillRect(x, 62, right - x, 12);
            last = right;
        }
        at.fillStyle = color('soft');
        at.font = '11px ui-monospace, monospace';
        const ticks = Math.max(2, Math.floor(width / 140));
        for (let i = 0; i <= ticks; i++) {
            const x = i / ticks * width;
            at.textAlign = i === 0 ? 'left' : i === ticks ? 'right' : 'center';
            at.fillText(hex(line.page(view.at(x, width))), x, 12);
            at.fillRect(Math.min(x, width - 1), 15, 1, 5);
        }
        at.textAlign = 'left';
        at.fillText(`${bytes(Math.round(view.to - view.from))} in view` +
            (scaled ? '' : ', long holes folded'), 0, tall - 4);
    };
    const canvas = canvasIn(parent, 96, draw);
    legend(parent, [...protections, ['page', 'pages in memory'], ['swapped', 'swapped']]);
    const told = add(parent, 'p', {className: 'told'});
    const list = add(add(parent, 'div', {className: 'tall'}), 'table', {className: 'list'});

    function changed() {
        canvas.again();
        told.textContent = tell(selected);
        const first = view.line.find(view.from, 'at');
        const behind = view.line.find(view.to, 'at') + 1, most = 200;
        list.textContent = '';
        const head = add(list, 'tr');
        for (const text of ['addresses', '', 'size', 'resident', 'swapped', 'what'])
            add(head, 'th', {}, text);
        for (let i = first; i < Math.min(behind, first + most); i++) {
            const [page, length, permissions, name, resident, swapped] = mappings[i];
            const row = add(list, 'tr', {onclick: () => { selected = i; changed(); }});
            for (const text of [`${hex(page)}-${hex(page + length)}`, permissions,
                bytes(length), resident, swapped, names[name]])
                add(row, 'td', {}, text);
        }
        if (behind - first > most)
            add(add(list, 'tr'), 'td', {colSpan: 6, className: 'soft'},
                `${count(behind - first - most, 'mapping')} more in view: zoom`);
    }
    canvas.addEventListener('click', event => {
        const x = event.clientX - canvas.getBoundingClientRect().left;
        selected = mappingAt(view.line.page(view.at(x, canvas.clientWidth)));
        changed();
    });
    canvas.addEventListener('pointermove', event => {
        const x = event.clientX - canvas.getBoundingClientRect().left;
        told.textContent = tell(mappingAt(view.line.page(view.at(x, canvas.clientWidth)))) ||
            tell(selected);
    });
    find.addEventListener('change', () => {
        const text = find.value.trim();
        let i = -1;
        if (/^(0x)?[0-9a-f]{4,}$/i.test(text))
            i = mappingAt(Number(BigInt('0x' + text.replace(/^0x/i, '')) / 4096n));
        if (i < 0 && text)
            i = mappings.findIndex((mapping, j) => j > selected && names[mapping[3]].includes(text));
        if (i < 0 && text)
            i = mappings.findIndex(mapping => names[mapping[3]].includes(text));
        if (i < 0) {
            told.textContent = `nothing is there: ${text}`;
            return;
        }
        selected = i;
        const {at, length} = view.line.pieces[i];
        view.set(at - length, at + 2 * length);
        changed();
    });
    steer(canvas, view, changed);
    changed();
};

/* ---- Steps, and how they fail -------------------------------------------- */

/*
 * kinds: names; kind: a letter a step, from 'a' on
 * modes: {name: a letter a step}: h held, b broken, . not tried, blank: none
 * replay: the snapshot's file, or empty
 */
views.matrix = (parent, data) => {
    const {kinds, kind, modes, replay} = data;
    const rows = Object.keys(modes), steps = kind.length;
    if (!steps)
        return;
    const cell = steps > 20000 ? 3 : steps > 4000 ? 5 : 9;
    const band = (rows.length + 1) * cell + 4;
    const across = width => Math.max(1, Math.floor(width / cell));
    const hue = step => 360 * (kind.charCodeAt(step) - 97) / kinds.length;
    const states = {h: 'good', b: 'bad', '.': 'none'};
    const draw = (at, width) => {
        const colors = {};
        for (const letter in states)
            colors[letter] = color(states[letter]);
        for (let step = 0; step < steps; step++) {
            const x = step % across(width) * cell;
            const y = Math.floor(step / across(width)) * band;
            at.fillStyle = `hsl(${hue(step)} 60% 50%)`;
            at.fillRect(x, y, cell - 1, Math.max(2, cell / 2));
            rows.forEach((mode, row) => {
                const state = modes[mode][step];
                if (!states[state])
                    return;
                at.fillStyle = colors[state];
                at.fillRect(x, y + (row + 1) * cell, cell - 1, cell - 1);
            });
        }
    };
    const canvas = canvasIn(parent, width => Math.ceil(steps / across(width)) * band, draw);
    const used = kinds.map((name, i) => [name, i])
        .filter(([, i]) => kind.includes(String.fromCharCode(97 + i)));
    const line = add(parent, 'p', {className: 'legend'});
    for (const [name, i] of used) {
        const item = add(line, 'span');
        add(item, 'i').style.background = `hsl(${360 * i / kinds.length} 60% 50%)`;
        item.append(name);
    }
    legend(parent, [['good', 'held'], ['bad', 'broken'], ['none', 'not tried']]);
    const told = add(parent, 'p', {className: 'told'});
    const words = {h: 'held', b: 'BROKEN', '.': 'not tried'};
    const tell = event => {
        const box = canvas.getBoundingClientRect();
        const column = Math.floor((event.clientX - box.left) / cell);
        const step = Math.floor((event.clientY - box.top) / band) * across(box.width) + column;
        if (column >= across(box.width) || step < 0 || step >= steps)
            return;
        told.textContent = `step ${step + 1} of ${steps}: ` +
            `${kinds[kind.charCodeAt(step) - 97]}; ` +
            rows.filter(mode => words[modes[mode][step]])
                .map(mode => `${mode}: ${words[modes[mode][step]]}`).join(', ') +
            (replay ? `  —  aspen rehearse --snapshot ${replay} --step ${step + 1}` : '');
    };
    canvas.addEventListener('pointermove', tell);
    canvas.addEventListener('click', tell);
};

/* ---- Addresses over time ------------------------------------------------- */

/*
 * first: [page, count, "rw-p"], what was mapped before
 * events: [call, name, page, count, "rw-p" or "" for gone, differs]
 * calls: how many there were
 */
views.time = (parent, data) => {
    const {first, events, calls} = data;
    const bounds = [...first, ...events.filter(event => event[4]).map(event => event.slice(2, 5))]
        .map(range => [range[0], range[0] + range[1]]).sort((a, b) => a[0] - b[0]);
    const ranges = [];
    for (const [start, end] of bounds) {
        const last = ranges[ranges.length - 1];
        if (last && start <= last[0] + last[1])
            last[1] = Math.max(last[1], end - last[0]);
        else
            ranges.push([start, end - start]);
    }
    if (!ranges.length)
        return;
    const line = folded(ranges);
    const view = new View(new Line([[0, Math.max(calls, 1) + 1]], 1));
    const tall = 320;
    const y = page => (1 - line.at(page) / line.length) * (tall - 20);
    const draw = (at, width) => {
        const colors = {'': color('hole')};
        for (const [name] of protections)
            colors[name] = color(name);
        at.fillStyle = colors[''];
        at.fillRect(0, 0, width, tall - 20);
        const paint = (call, page, length, permissions) => {
            const x = Math.max(0, view.x(call, width)), top = y(page + length);
            if (y(page) === top)
                return;
            at.fillStyle = colors[permissions ? protection(permissions) : ''];
            at.fillRect(x, top, width - x, Math.max(y(page) - top, 1));
        };
        for (const [page, length, permissions] of first)
            paint(0, page, length, permissions);
        for (const [call, , page, length, permissions] of events) {
            if (call > view.to)
                break;
            paint(call, page, length, permissions);
        }
        at.fillStyle = color('bad');
        for (const event of events)
            if (event[5])
                at.fillRect(view.x(event[0], width) - 1, 0, 2, tall - 20);
        at.fillStyle = color('soft');
        at.font = '11px ui-monospace, monospace';
        at.fillText(`call ${Math.round(view.from)}`, 0, tall - 6);
        at.textAlign = 'right';
        at.fillText(`call ${Math.round(view.to)}`, width, tall - 6);
    };
    const bar = add(parent, 'div', {className: 'bar'});
    const canvas = canvasIn(parent, tall, draw);
    const changed = () => canvas.again();
    for (const [text, act] of [['all', () => view.set(0, view.line.length)],
        ['+', () => view.zoom(1 / 3, (view.from + view.to) / 2)],
        ['−', () => view.zoom(3, (view.from + view.to) / 2)]])
        add(bar, 'button', {onclick: () => { act(); changed(); }}, text);
    legend(parent, [...protections, ['bad', 'a difference']]);
    const told = add(parent, 'p', {className: 'told'});
    const tell = event => {
        const box = canvas.getBoundingClientRect();
        const call = view.at(event.clientX - box.left, box.width);
        const page = line.page((1 - (event.clientY - box.top) / (tall - 20)) * line.length);
        let low = 0, high = events.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (events[middle][0] <= call)
                low = middle + 1;
            else
                high = middle;
        }
        const last = events[low - 1];
        told.textContent = `call ${Math.floor(call)}, ${hex(page)}` + (last ?
            `; last change: call ${last[0]}, ${last[1]} ${hex(last[2])}` +
            `-${hex(last[2] + last[3])} ${last[4] || 'gone'}` : '');
    };
    canvas.addEventListener('pointermove', tell);
    canvas.addEventListener('click', tell);
    steer(canvas, view, changed);
};

/* ---- A sequence of calls, a picture for each ------------------------------ */

/* steps: {text, differs, sides: {name: [[page, count, "rw-p"], ...]}} */
views.strip = (parent, data) => {
    const ends = new Set();
    for (const step of data.steps)
        for (const side of Object.values(step.sides))
            for (const [page, length] of side)
                ends.add(page).add(page + length);
    const sorted = [...ends].sort((a, b) => a - b);
    const ranges = sorted.slice(0, -1).map((page, i) => [page, sorted[i + 1] - page])
        .filter(range => data.steps.some(step => Object.values(step.sides).some(
            side => side.some(([page, length]) =>
                page < range[0] + range[1] && range[0] < page + length))));
    if (!ranges.length)
        return;
    const line = folded(ranges);
    for (const step of data.steps) {
        const part = add(parent, 'div', {className: step.differs ? 'step differs' : 'step'});
        add(part, 'code', {}, step.text);
        const sides = Object.entries(step.sides);
        canvasIn(part, 20 * sides.length, (at, width) => {
            sides.forEach(([name, side], row) => {
                at.fillStyle = color('hole');
                at.fillRect(56, row * 20, width - 56, 16);
                at.fillStyle = color('soft');
                at.font = '12px system-ui, sans-serif';
                at.fillText(name, 0, row * 20 + 12);
                for (const [page, length, permissions] of side) {
                    const x = 56 + line.at(page) / line.length * (width - 56);
                    const right = 56 + line.at(page + length) / line.length * (width - 56);
                    at.fillStyle = color(protection(permissions));
                    at.fillRect(x, row * 20, Math.max(right - x - 1, 1), 16);
                }
            });
        });
    }
    legend(parent, protections);
};

/* ---- The page ------------------------------------------------------------- */

const stored = document.getElementById('data');
const data = stored ? JSON.parse(stored.textContent) : {};
for (const element of document.querySelectorAll('[data-view]'))
    views[element.dataset.view.replace(/-.*/, '')](element, data[element.dataset.view]);
document.documentElement.dataset.ready = 'yes';
