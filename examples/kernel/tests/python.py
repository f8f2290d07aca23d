# SPDX-License-Identifier: MIT
#
# python.py: threads, processes, and memory that two of them share through a
# file. What it prints is the same on Linux.
import hashlib
import mmap
import os
import subprocess
import sys
import tempfile
import threading

total = 0
lock = threading.Lock()


def add(count):
    global total
    for _ in range(count):
        with lock:
            total += 1


threads = [threading.Thread(target=add, args=(500,)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print('threads', total)

done = subprocess.run(['sh', '-c', 'cat; exit 3'], input=b'through a pipe',
                      capture_output=True)
print('subprocess', done.stdout, done.returncode)

with tempfile.NamedTemporaryFile() as file:
    file.truncate(3 * 4096)
    shared = mmap.mmap(file.fileno(), 3 * 4096)
    shared[0:5] = b'first'
    child = os.fork()
    if child == 0:
        seen = bytes(shared[0:5])
        shared[4096:4100] = b'from'
        shared.flush()
        os._exit(0 if seen == b'first' else 1)
    print('fork', os.waitpid(child, 0)[1], bytes(shared[4096:4100]))
    shared.flush()
    file.seek(4096)
    print('file', file.read(4))
    private = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_COPY)
    private[0:5] = b'other'
    print('private', bytes(shared[0:5]), bytes(private[0:5]))

anonymous = mmap.mmap(-1, 1 << 20)
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        anonymous[number * 4096] = number + 65
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
print('anonymous', bytes(anonymous[n * 4096] for n in range(4)))

data = bytearray(8 << 20)
for at in range(0, len(data), 4096):
    data[at] = at >> 12 & 255
print('memory', hashlib.sha256(data).hexdigest())
print('comprehension', sum(n * n for n in range(100000)))
sys.exit(7)
