/* SPDX-License-Identifier: MIT */
/*
 * What a reader does in a page of the tools: moves over every picture, clicks,
 * zooms, searches. Put behind the page by check.sh, which reads what is written
 * into #clicked.
 */
'use strict';
(() => {
    const lines = [];
    const check = (what, right) => lines.push(`${right ? 'ok' : 'FAIL'} ${what}`);
    const painted = canvas => {
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const colors = new Set();
        for (let i = 0; i < data.length; i += 4)
            if (data[i + 3])
                colors.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
        return colors.size;
    };
    const at = (canvas, name, x, y, more) => {
        const box = canvas.getBoundingClientRect();
        const kind = name === 'wheel' ? WheelEvent : name.startsWith('pointer') ? PointerEvent : MouseEvent;
        canvas.dispatchEvent(new kind(name, {bubbles: true, cancelable: true,
            clientX: box.left + x * box.width, clientY: box.top + y * box.height, ...more}));
    };
    const press = (part, text) =>
        [...part.querySelectorAll('button')].find(button => button.textContent === text).click();
    const told = part => part.querySelector('.told').textContent;

    const acts = {
        space(part, data) {
            const canvas = part.querySelector('canvas'), list = part.querySelector('.list');
            const before = list.textContent, rows = list.rows.length;
            check('space: a row for each mapping, or for 200 and the rest',
                rows === Math.min(data.mappings.length, 201) + 1);
            let seen = 0, there = 0;
            for (let i = 0; i < 200; i++) {
                at(canvas, 'pointermove', i / 200, 0.5);
                if (!/^0x[0-9a-f]+-0x[0-9a-f]+ [r-][w-][x-][ps] /.test(told(part)))
                    continue;
                seen++;
                there = i / 200;
            }
            check('space: it says what is under the pointer', seen > 50);
            at(canvas, 'click', there, 0.5);
            check('space: what is clicked stays said', told(part).length > 0);
            const started = performance.now();
            for (let i = 0; i < 10; i++)
                at(canvas, 'wheel', 0.5, 0.5, {deltaY: -1});
            check('space: ten turns of the wheel in two seconds', performance.now() - started < 2000);
            check('space: nearer there are others', data.mappings.length < 20 ||
                list.textContent !== before);
            press(part, 'to scale');
            press(part, 'all');
            check('space: to scale it is painted as well', painted(canvas) > 1);
            press(part, 'fold holes');
            const find = part.querySelector('.find');
            const last = data.mappings[data.mappings.length - 1];
            find.value = (BigInt(last[0]) * 4096n).toString(16);
            find.dispatchEvent(new Event('change'));
            check('space: an address is found', told(part).startsWith('0x' + find.value));
            find.value = 'no such name';
            find.dispatchEvent(new Event('change'));
            check('space: what is not there is said', told(part).includes('no such name'));
            press(part, 'all');
            check('space: all of it again', list.textContent === before);
        },
        matrix(part, data) {
            const canvas = part.querySelector('canvas');
            at(canvas, 'pointermove', 1 / canvas.clientWidth, 1 / canvas.clientHeight);
            check('matrix: the first step is told',
                told(part).startsWith(`step 1 of ${data.kind.length}: `));
            check('matrix: and how to rehearse it, if there is a file',
                told(part).includes('--step 1') === (data.replay !== ''));
        },
        time(part, data) {
            const canvas = part.querySelector('canvas');
            for (let i = 0; i < 20; i++)
                at(canvas, 'pointermove', 0.95, i / 20);
            check('time: a call and an address are told', /^call \d+, 0x[0-9a-f]+/.test(told(part)));
            check('time: and what changed last',
                !data.events.length || told(part).includes('last change'));
            press(part, '+');
            press(part, '−');
            press(part, 'all');
            check('time: it is painted again', painted(canvas) > 1);
        },
        strip(part, data) {
            check('strip: a picture for each operation',
                part.querySelectorAll('.step').length === data.steps.length);
            check('strip: those that differ are marked', part.querySelectorAll('.differs').length ===
                data.steps.filter(step => step.differs).length);
        },
    };
    try {
        check('the page came to its end', document.documentElement.dataset.ready === 'yes');
        for (const part of document.querySelectorAll('[data-view]')) {
            const name = part.dataset.view.replace(/-.*/, '');
            for (const canvas of part.querySelectorAll('canvas'))
                check(`${name}: it is painted`, painted(canvas) > 1);
            acts[name](part, data[part.dataset.view]);
        }
    } catch (error) {
        check(`no mistake on the way: ${error.message}`, false);
    }
    const result = document.createElement('pre');
    result.id = 'clicked';
    result.textContent = lines.join('\n') + '\nclicked\n';
    document.body.append(result);
})();
