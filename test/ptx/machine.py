"""Executes the translated code of one kernel, block by block, warp by warp.

The lanes of a warp that stand at the same instruction run together, those at the lowest one first. A warp runs until it has to wait;
which warp goes on next, and when a copy ends, depends on a seed, so that different seeds are different legal schedules.
What hardware does later happens as late as possible here: results of wgmma are NaN until the wait that completes it, a
tensor copy fills its destination with NaN when it starts, and a store reads its source when it is waited for.
"""
import random
import traceback

import numpy as np

from memory import IN_FLIGHT, LOCAL, READ, SHARED, WRITE, History, Memory, f4, i4, u1, u2, u4, u8, words
from ptx import PtxError
from translate import LANE, LANES, Translator, f2, widen

SHARED_BEGIN = 1024  # the first bytes of shared memory belong to the system
EVERY, NO_LANES = np.full(LANES, True), np.full(LANES, False)
SWIZZLES = {0: 0, 1: 128, 2: 64, 3: 32}  # of wgmma descriptors
MAX_MBARRIERS = 64


class Wait:
    """Why lanes do not go on. `ready()` says when they do, at instruction `next`."""

    def __init__(self, ready, text, next):
        self.ready, self.text, self.next = ready, text, next


class Group:
    """Lanes of a warp that stand at the same instruction; mask None: all of them."""

    def __init__(self, pc, mask):
        self.pc, self.mask, self.wait = pc, mask, None


class NamedBarrier:
    def __init__(self):
        self.arrived, self.expected, self.generation = 0, None, 0
        self.clock = None
        self.released = []  # the clock of each generation


class Mbarrier:
    def __init__(self, count, agent):
        self.expected = self.pending = count
        self.bytes = 0  # of copies, not yet arrived
        self.phase = 0
        self.agent = agent  # in the clocks of History: the copies that complete here
        self.clock = self.released = None

    def text(self):
        return f"phase {self.phase}, {self.pending} of {self.expected} arrivals and {self.bytes} bytes missing"


class Product:
    """A wgmma that has been issued: the accumulators hold NaN until it is waited for."""

    def __init__(self, result, slots, operands, instruction):
        self.result = result  # [registers, lanes]
        self.registers = np.full(result.shape, 0xFFFFFFFF, u4)
        self.rows = list(self.registers)
        self.slots = slots
        self.operands = operands  # (slot, array) of A in registers
        self.words = []  # of shared memory that it reads
        self.instruction = instruction


class Warp:
    def __init__(self, block, number, lanes):
        self.block, self.number, self.device = block, number, block.device
        self.r = list(block.device.blank)
        self.groups = [Group(0, None if lanes == LANES else LANE < lanes)]
        self.clock = np.zeros(block.agents, i4)
        self.clock[number] = 1
        self.joined = 0  # what all lanes did until then, each lane knows is done
        self.loose = NO_LANES  # lanes that have touched memory since
        self.products, self.batches = [], []  # of wgmma: issued, and committed
        self.fenced = None
        self.small, self.small_batches = [], []  # cp.async
        self.bulk = [([], []) for _ in range(LANES)]  # of each lane: stores since the last commit, and committed
        self.values = block.special_values(number)
        self.local = None

    # Control.

    def run(self, budget):
        """Runs at most `budget` stretches; False when it cannot go on."""
        device = self.device
        moved = False
        while budget > 0:
            for group in self.groups:
                if group.wait and group.wait.ready():
                    group.pc, group.wait = group.wait.next, None
            self.merge()
            group = min((g for g in self.groups if not g.wait), key=lambda g: g.pc, default=None)
            if group is None:
                return moved
            moved = True
            single = len(self.groups) == 1
            while True:
                budget -= 1
                try:
                    if group.mask is None:
                        result = device.full(group.pc)(self)
                    else:
                        result = device.part(group.pc)(self, group.mask)
                except PtxError as error:
                    raise PtxError(device.describe(error, self, group)) from error
                except (IndexError, ValueError, TypeError, ZeroDivisionError) as error:
                    raise PtxError(device.describe(error, self, group)) from error
                if type(result) is int and result >= 0:
                    group.pc = result
                    if single and budget > 0:
                        continue
                elif isinstance(result, Wait):
                    group.wait = result
                elif type(result) is int:
                    self.groups.remove(group)
                    if not self.groups:
                        self.finish()
                        return True
                else:
                    self.diverge(group, result)
                break
        return moved

    def merge(self):
        """Groups at the same instruction become one."""
        if len(self.groups) == 1:
            return
        places = {}
        for group in self.groups:
            if group.wait is None:
                other = places.setdefault(group.pc, group)
                if other is not group:
                    other.mask = other.mask | group.mask
        self.groups = [g for g in self.groups if g.wait or places[g.pc] is g]
        if len(self.groups) == 1 and self.groups[0].mask.all():
            self.groups[0].mask = None

    def split(self, test, mask, target, next):
        taken = test & mask
        if not taken.any():
            return next
        return target if (taken == mask).all() else (taken, target, next)

    def switch(self, index, mask, targets):
        places = np.array(targets)[np.minimum(index, len(targets) - 1)]
        found = np.unique(places if mask is None else places[mask])
        return int(found[0]) if len(found) == 1 else [(int(t), places == t) for t in found]

    def diverge(self, group, result):
        mask = EVERY if group.mask is None else group.mask
        if isinstance(result, tuple):
            taken, target, next = result
            result = [(target, taken), (next, ~taken)]
        self.groups.remove(group)
        for pc, lanes in result:
            if pc >= 0:
                self.groups.append(Group(pc, lanes & mask))
        if not self.groups:
            self.finish()

    def alive(self):
        return sum((g.mask if g.mask is not None else EVERY) for g in self.groups) > 0

    def parted(self, mask, members):
        """Whether lanes that still run, and that `members` names, are elsewhere."""
        if len(self.groups) == 1:
            return False
        needed = self.alive() if members is None else self.alive() & named(members)
        return bool((needed & ~mask).any())

    def gather(self, pc, members):
        """Waits until all of these lanes are here."""

        def ready():
            here = sum(EVERY & g.mask for g in self.groups if (g.wait.next if g.wait else g.pc) == pc) > 0
            return not self.parted(here, members)

        return Wait(ready, "other lanes of its warp", pc)

    def finish(self):
        if self.products or self.batches:
            raise PtxError(f"warp {self.number} ends before wgmma.wait_group")
        if any(stores or batches for stores, batches in self.bulk):
            raise PtxError(f"warp {self.number} ends before cp.async.bulk.wait_group")
        if self.small or self.small_batches:
            raise PtxError(f"warp {self.number} ends before cp.async.wait_group")

    def trap(self):
        raise PtxError("trap")

    def special(self, name, dtype):
        if name.startswith("%clock") or name == "%globaltimer":
            self.device.ticks += 1
            return np.full(LANES, self.device.ticks, dtype)
        return self.values[name].astype(dtype)

    # Memory.

    def place(self, space, addresses, lanes=slice(None)):
        """The memory that the addresses of these lanes are in, and the addresses there."""
        if space == "shared":
            return self.block.shared, addresses
        first = int(addresses[0])
        if space == "local" or not space and first >= LOCAL:
            offsets = self.device.lane_offsets[lanes]
            return self.local_memory(), (addresses & u8(SHARED - 1)) + offsets
        if not space and first >= SHARED:
            return self.block.shared, addresses - u8(SHARED)
        workspace = self.block.workspace
        if workspace and workspace.holds(first):
            return workspace, addresses
        return self.device.memory, addresses

    def local_memory(self):
        if self.local is None:
            size = self.device.local_size
            self.local = Memory("local", 0, size * LANES)
            self.local.allow(0, size * LANES, READ | WRITE)
        return self.local

    def load(self, space, addresses, width, count, mask):
        if mask is None or mask.all():
            self.loose = EVERY
            memory, addresses = self.place(space, addresses)
            return memory.load(self, addresses, width, count, LANE)
        result = np.full((count, LANES), (1 << 8 * width) - 1, f"u{width}")
        if mask.any():
            self.loose = self.loose | mask
            memory, addresses = self.place(space, addresses[mask], mask)
            result[:, mask] = memory.load(self, addresses, width, count, LANE[mask])
        return result

    def store(self, space, addresses, width, values, mask):
        if mask is None or mask.all():
            self.loose = EVERY
            memory, addresses = self.place(space, addresses)
            memory.store(self, addresses, width, values, LANE)
        elif mask.any():
            self.loose = self.loose | mask
            memory, addresses = self.place(space, addresses[mask], mask)
            memory.store(self, addresses, width, [value[mask] for value in values], LANE[mask])

    def matrix_rows(self, addresses, count, access):
        """The numbers of the 16-bit values in `count` matrices of 8 rows of 16 bytes; lanes give the rows' addresses."""
        self.loose = EVERY
        if int(addresses[0]) >= SHARED:
            addresses = addresses - u8(SHARED)
        offsets = self.block.shared.offsets(addresses[: 8 * count], 16, access)
        return offsets, (offsets >> u8(1)).astype(np.intp)[:, None] + np.arange(8)

    def load_matrix(self, addresses, count, transposed):
        offsets, places = self.matrix_rows(addresses, count, READ)
        if self.block.history:
            self.block.history.read(self, words(offsets, 16))
        values = self.block.shared.views[2].take(places).reshape(count, 8, 8)
        if transposed:
            values = values.transpose(0, 2, 1)
        return list(np.ascontiguousarray(values).view(u4).reshape(count, LANES))

    def store_matrix(self, addresses, values, transposed):
        offsets, places = self.matrix_rows(addresses, len(values), WRITE)
        if self.block.history:
            self.block.history.write(self, words(offsets, 16))
        values = np.array(values).view(u2).reshape(len(values), 8, 8)
        if transposed:
            values = values.transpose(0, 2, 1)
        self.block.shared.views[2][places] = values.reshape(-1, 8)

    # Between lanes.

    def shuffle(self, kind, values, lane, clamp, mask):
        """The clamp's low bits bound the source lane; bits 8 to 12 split the warp into segments."""
        segment = (clamp >> u4(8)) & u4(31)
        lanes = LANE.astype(i4)
        bound = (lanes & segment.astype(i4)) | ((clamp & u4(31)) & ~segment).astype(i4)
        lane = (lane & u4(31)).astype(i4)
        if kind == "up":
            source = lanes - lane
            valid = source >= bound
        elif kind == "down":
            source = lanes + lane
            valid = source <= bound
        elif kind == "bfly":
            source = lanes ^ lane
            valid = source <= bound
        else:
            source = (lanes & segment.astype(i4)) | (lane & ~segment.astype(i4))
            valid = source <= bound
        source = np.where(valid, source, lanes)
        result = values[source]
        if mask is not None:
            result = np.where(mask[source], result, u4(0xFFFFFFFF))
        return result, valid

    def vote(self, kind, test, mask):
        mask = EVERY if mask is None else mask
        test = test & mask
        if kind == "ballot":
            return np.full(LANES, int((test.astype(u8) << LANE.astype(u8)).sum()), u4)
        return np.full(LANES, {"any": test.any(), "all": (test == mask).all(), "uni": test.any() == (test == mask).all()}[kind])

    def elect(self, mask):
        leader = 0 if mask is None else int(np.flatnonzero(mask)[0])
        return np.full(LANES, leader, u4), LANE == leader

    def active(self, mask):
        return self.vote("ballot", EVERY, mask)

    def reduce(self, kind, values, mask):
        function = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[kind]
        return np.full(LANES, function.reduce(values if mask is None else values[mask]), values.dtype)

    # Barriers.

    def together(self):
        """All lanes are at one instruction: each now knows that what the others did is done."""
        self.joined, self.loose = self.clock[self.number], NO_LANES
        self.clock[self.number] += 1

    def release(self, mask=None):
        """The clock that others get; what this warp does from now on is later. Some lanes cannot speak for the others."""
        clock = self.clock.copy()
        if mask is not None and (self.loose & ~mask).any():
            clock[self.number] = self.joined
        self.clock[self.number] += 1
        return clock

    def acquire(self, clock):
        if clock is not None:
            np.maximum(self.clock, clock, out=self.clock)

    def barrier(self, number, count, waits, next):
        block = self.block
        number = int(number[0])
        expected = block.threads if count is None else int(count[0])
        if expected % LANES or expected > block.threads:
            raise PtxError(f"barrier {number}: {expected} is not a number of threads of whole warps of this block")
        barrier = block.barriers.setdefault(number, NamedBarrier())
        if barrier.arrived and barrier.expected != expected:
            raise PtxError(f"barrier {number} is used for {barrier.expected} threads and for {expected} at once")
        barrier.expected = expected
        barrier.arrived += LANES
        barrier.clock = join(barrier.clock, self.release())
        generation = barrier.generation
        if barrier.arrived == expected:
            barrier.arrived, barrier.generation = 0, generation + 1
            barrier.released.append(barrier.clock)
            barrier.clock = None
        if not waits:
            return next

        def ready():
            if barrier.generation == generation:
                return False
            self.acquire(barrier.released[generation])
            return True

        return next if ready() else Wait(ready, f"barrier {number} ({barrier.arrived} of {expected} threads there)", next)

    def mbarrier(self, address):
        address = int(address) & (SHARED - 1)
        barrier = self.block.mbarriers.get(address)
        if barrier is None:
            raise PtxError(f"no mbarrier at shared address {address:#x}: those there are at {', '.join(map(hex, self.block.mbarriers)) or 'none'}")
        if self.clock[barrier.maker] < barrier.made:
            raise PtxError(f"no barrier orders this with the initialisation of the mbarrier at {address:#x} by warp {barrier.maker}")
        return barrier

    def lanes(self, mask):
        return range(LANES) if mask is None else np.flatnonzero(mask).tolist()

    def mbarrier_init(self, addresses, counts, mask):
        for lane in self.lanes(mask):
            address = int(addresses[lane]) & (SHARED - 1)
            self.block.shared.offsets(np.array([address], u8), 8, WRITE)
            agent = len(self.block.device.warp_numbers) + len(self.block.mbarriers)
            if agent >= self.block.agents:
                raise PtxError(f"more than {MAX_MBARRIERS} mbarriers")
            barrier = self.block.mbarriers[address] = Mbarrier(int(counts[lane]), agent)
            barrier.maker, barrier.made = self.number, int(self.clock[self.number])
            self.block.unfenced.append(barrier)

    def mbarrier_invalidate(self, addresses, mask):
        for lane in self.lanes(mask):
            self.mbarrier(addresses[lane])
            del self.block.mbarriers[int(addresses[lane]) & (SHARED - 1)]

    def mbarrier_arrive(self, addresses, arrives, counts, expected, mask):
        clock = self.release(mask) if arrives else None
        for lane in self.lanes(mask):
            barrier = self.mbarrier(addresses[lane])
            if expected is not None:
                barrier.bytes += int(expected[lane])
            if arrives:
                barrier.pending -= 1 if counts is None else int(counts[lane])
                barrier.clock = join(barrier.clock, clock)
                if barrier.pending < 0:
                    raise PtxError(f"more arrivals than the {barrier.expected} that the mbarrier at {int(addresses[lane]):#x} expects")
                self.block.flip(barrier)

    def mbarrier_wait(self, addresses, parity, mask, pc):
        places = np.unique(addresses if mask is None else addresses[mask])
        parities = np.unique(parity if mask is None else parity[mask])
        if len(places) != 1 or len(parities) != 1:
            raise PtxError("lanes wait for different mbarriers at once")
        barrier, parity = self.mbarrier(places[0]), int(parities[0])

        def ready():
            return barrier.phase & 1 != parity

        if ready():
            self.acquire(barrier.released)
            return None
        text = f"parity {parity} of the mbarrier at {int(places[0]):#x}"
        return Wait(ready, lambda: f"{text} ({barrier.text()})", pc)

    # Asynchronous copies.

    def fence_mbarriers(self):
        self.block.unfenced = [b for b in self.block.unfenced if b.maker != self.number]

    def hand_over(self):
        """fence.proxy.async"""
        self.fence_mbarriers()
        for history in filter(None, (self.block.history, self.block.workspace and self.block.workspace.history)):
            history.fence(self)

    def tensor_load(self, places, maps, coordinates, barriers, mask):
        for lane in self.lanes(mask):
            tensor = self.device.tensor(int(maps[lane]))
            place = self.block.tile(int(places[lane]), tensor, WRITE)
            barrier = self.mbarrier(barriers[lane])
            if barrier in self.block.unfenced:
                raise PtxError(f"the mbarrier at {int(barriers[lane]):#x} is used for a copy without fence.mbarrier_init after its initialisation")
            made = self.block.history and self.block.history.write(self, tile_words(place), copy=barrier.agent)
            self.block.shared.bytes[place] = 0xFF
            at = [int(c[lane]) for c in coordinates]
            self.block.copies.append((tensor, at, place, barrier, made))

    def tensor_store(self, places, maps, coordinates, mask):
        for lane in self.lanes(mask):
            tensor = self.device.tensor(int(maps[lane]))
            place = self.block.tile(int(places[lane]), tensor, READ)
            if self.block.history:
                self.block.history.read(self, tile_words(place), IN_FLIGHT, asynchronous=True)
            self.bulk[lane][0].append((tensor, [int(c[lane]) for c in coordinates], place))

    def bulk_commit(self, mask):
        for lane in self.lanes(mask):
            stores, batches = self.bulk[lane]
            batches.append(list(stores))
            stores.clear()

    def bulk_wait(self, left, mask):
        for lane in self.lanes(mask):
            batches = self.bulk[lane][1]
            while len(batches) > left:
                for tensor, at, place in batches.pop(0):
                    tensor.write(at, self.block.shared.bytes[place])
                    if self.block.history:
                        self.block.history.finish(self, tile_words(place))

    def copy_small(self, places, sources, size, given, mask):
        """cp.async: `given` bytes of each source, zeros behind them."""
        for lane in self.lanes(mask):
            source = sources[lane : lane + 1]
            count = size if given is None else int(given[lane])
            data = np.zeros(size, u1)
            if count:
                memory, where = self.place("global", source)
                offset = int(memory.offsets(where, size, READ)[0])
                data[:count] = memory.bytes[offset : offset + count]
            place = places[lane : lane + 1] & u8(SHARED - 1)
            self.block.shared.store(self, place, 1, [np.full(1, 0xFF, u1)] * size, LANE[lane : lane + 1])
            self.small.append((lane, place, data))

    def copies_commit(self, mask):
        if mask is None or mask.any():
            self.small_batches.append(self.small)
            self.small = []

    def copies_wait(self, left, mask):
        while len(self.small_batches) > left:
            for lane, place, data in self.small_batches.pop(0):
                self.block.shared.store(self, place, 1, [data[i : i + 1] for i in range(len(data))], LANE[lane : lane + 1])

    # Matrix products.

    def mma(self, kind, a, b, c):
        a = fragment_a(a, kind)
        b = np.concatenate([floats(x, kind) for x in b], axis=1)  # [columns, depth]
        return list((products(a, b) + np.array(c).view(f4)).view(u4))

    def wgmma_fence(self):
        self.fenced = list(self.r)

    def check_fenced(self, slots, what):
        if self.fenced is None:
            raise PtxError("wgmma without a wgmma.fence before it")
        r, fenced = self.r, self.fenced
        changed = [s for s in slots if r[s] is not fenced[s]]
        if changed:
            known = set(map(id, fenced)) | {id(row) for p in self.unfinished() for row in p.rows}
            if any(id(r[s]) not in known for s in changed):
                raise PtxError(f"{what} was written after the last wgmma.fence")

    def unfinished(self):
        return self.products + [p for batch in self.batches for p in batch]

    def wgmma(self, n, kind, slots, a, b, accumulate, negate_b, transposed_a, transposed_b):
        r, block = self.r, self.block
        accumulate = bool(accumulate[0])
        read = []
        if isinstance(a, list):
            self.check_fenced(a, "an operand in registers")
            operands = [(slot, r[slot]) for slot in a]
            rows = fragment_a([r[slot] for slot in a], kind)
        else:
            operands = []
            places = block.matrix(uniform(a), 64, transposed_a)[16 * (self.number % 4) :][:16]
            read.append(places)
            rows = floats(block.shared.views[2].take(places), kind)
        places = block.matrix(uniform(b), n, transposed_b)
        read.append(places)
        columns = floats(block.shared.views[2].take(places), kind)
        result = products(rows, -columns if negate_b else columns)
        if accumulate:
            self.check_fenced(slots, "an accumulator")
            result = result + self.accumulators(slots)
        product = Product(result.view(u4), slots, operands, self.device.current(self))
        if block.history:
            product.words = np.concatenate([p.ravel() >> 1 for p in read])
            block.history.read(self, product.words, IN_FLIGHT, asynchronous=True)
        for slot, row in zip(slots, product.rows):
            r[slot] = row
        self.products.append(product)

    def accumulators(self, slots):
        """What the accumulators hold, or will hold once the products that write them are complete."""
        r = self.r
        for product in reversed(self.unfinished()):
            if r[slots[0]] is product.rows[0] and all(r[s] is row for s, row in zip(slots, product.rows)):
                return product.result.view(f4)
        later = {id(row): value for p in self.unfinished() for row, value in zip(p.rows, p.result)}
        return np.array([later.get(id(r[s]), r[s]) for s in slots]).view(f4)

    def wgmma_commit(self):
        self.batches.append(self.products)
        self.products = []

    def wgmma_wait(self, left):
        while len(self.batches) > left:
            for product in self.batches.pop(0):
                for slot, array in product.operands:
                    if self.r[slot] is not array:
                        raise PtxError(f"a register of A was overwritten before this wait: {product.instruction}")
                product.registers[:] = product.result
                if self.block.history:
                    self.block.history.finish(self, product.words)
        if self.block.history:
            for product in self.unfinished():
                self.block.history.reads[self.number][product.words] = IN_FLIGHT


def named(members):
    """The lanes in a mask of bits."""
    return (members[0] >> LANE) & u4(1) != 0


def join(a, b):
    return b if a is None else np.maximum(a, b)


def uniform(values):
    if (values != values[0]).any():
        raise PtxError("the lanes have different matrix descriptors")
    return int(values[0])


def floats(bits, kind):
    """16-bit patterns, or registers with two each, as f32; [8, 8] from a register."""
    if bits.dtype == u4:
        bits = bits.view(u2).reshape(8, 8)
    return widen(bits) if kind == "bf16" else bits.view(f2).astype(f4)


def fragment_a(registers, kind):
    """[16, 8 or 16] from the registers of operand A: rows 0-7 and 8-15, then the same for the next 8 columns."""
    parts = [floats(x, kind) for x in registers]
    columns = [np.concatenate(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return np.concatenate(columns, axis=1)


def products(a, b):
    """[16, k] times the transpose of [n, k], laid out as accumulators: [n/2 registers, lanes]."""
    n = len(b)
    result = a @ b.T
    return np.ascontiguousarray(result.reshape(2, 8, n // 8, 4, 2).transpose(2, 0, 4, 1, 3)).reshape(n // 2, LANES)


def tile_words(place):
    """The words of a tile from the places of its bytes: [rows, bytes of a row]."""
    return (place.ravel()[::4] >> 2).astype(np.intp)


class TensorMap:
    """A tensor in global memory as the TMA unit sees it: sizes and strides from the innermost dimension, strides in bytes."""

    def __init__(self, memory, address, sizes, strides, box, element, swizzle):
        self.memory, self.sizes, self.box, self.element, self.swizzle = memory, sizes, box, element, swizzle
        self.strides = [element, *strides]
        for number, what in [(address, "the address"), *((s, "a stride") for s in strides), (box[0] * element, "a box row")]:
            if number % 16:
                raise PtxError(f"tensor map: {what}, {number}, is not a multiple of 16")
        if swizzle and box[0] * element > swizzle:
            raise PtxError(f"tensor map: a box row of {box[0] * element} bytes is longer than the swizzle, {swizzle}")
        if max(box) > 256:
            raise PtxError(f"tensor map: box {box} has a size above 256")
        self.address = address
        self.bytes = int(np.prod(box)) * element

    def places(self, at):
        """Addresses of the box's elements at the coordinates `at`, outermost first, and which are inside."""
        if len(at) != len(self.sizes):
            raise PtxError(f"{len(at)} coordinates for a tensor map of {len(self.sizes)} dimensions")
        places, inside = np.zeros(1, np.int64), np.full(1, True)
        for start, size, stride, box in reversed(list(zip(at, self.sizes, self.strides, self.box))):
            index = start + np.arange(box)
            places = (places[:, None] + index * stride).ravel()
            inside = (inside[:, None] & ((index >= 0) & (index < size))).ravel()
        return places + (self.address - self.memory.base), inside

    def spread(self, places):
        return (places[:, None] + np.arange(self.element)).ravel()

    def read(self, at):
        """The box's bytes, zeros where it lies outside."""
        places, inside = self.places(at)
        result = np.zeros((len(places), self.element), u1)
        taken = self.spread(places[inside])
        if not (self.memory.access[taken] & READ).all():
            raise PtxError("a tensor load reads outside its array")
        result[inside] = self.memory.bytes[taken].reshape(-1, self.element)
        return result.ravel()

    def write(self, at, data):
        places, inside = self.places(at)
        taken = self.spread(places[inside])
        if not (self.memory.access[taken] & WRITE).all():
            raise PtxError("a tensor store writes outside its array, or to an input")
        self.memory.bytes[taken] = data.reshape(-1, self.element)[inside].ravel()


class Block:
    def __init__(self, device, number):
        self.device, self.number = device, number
        self.threads = device.threads
        self.agents = len(device.warp_numbers) + MAX_MBARRIERS
        self.shared = Memory("shared", 0, device.shared_size)
        self.shared.allow(SHARED_BEGIN, device.shared_size - SHARED_BEGIN, READ | WRITE)
        self.history = None
        self.workspace = None
        if device.workspace_size:
            size = device.workspace_size
            self.workspace = Memory("workspace", device.workspace_begin + number * size, size)
            self.workspace.allow(0, size, READ | WRITE)
        if device.races:
            self.history = self.shared.history = History(self.shared, len(device.warp_numbers), self.agents)
            if self.workspace:
                self.workspace.history = History(self.workspace, len(device.warp_numbers), self.agents)
        self.barriers, self.mbarriers, self.unfenced = {}, {}, []
        self.copies = []
        self.tiles, self.matrices = {}, {}
        self.warps = [Warp(self, i, min(LANES, self.threads - LANES * i)) for i in device.warp_numbers]

    def special_values(self, warp):
        values = {
            "%tid.x": LANE + u4(LANES * warp), "%ntid.x": self.threads, "%ctaid.x": self.number, "%nctaid.x": self.device.blocks,
            "%laneid": LANE, "%warpid": warp, "%nwarpid": len(self.device.warp_numbers), "%lanemask_lt": (u4(1) << LANE) - u4(1),
            "%lanemask_le": (u4(2) << LANE) - u4(1), "%lanemask_eq": u4(1) << LANE, "%dynamic_smem_size": self.device.dynamic_size,
        }  # fmt: skip
        values |= {f"%{n}.{d}": v for d in "yz" for n, v in (("tid", 0), ("ctaid", 0), ("ntid", 1), ("nctaid", 1))}
        return {n: v if isinstance(v, np.ndarray) else np.full(LANES, v, u4) for n, v in values.items()}

    def run(self):
        """Runs the warps until all have ended."""
        random_, order = self.device.random, list(self.warps)
        policy = self.device.seed % 4  # 0: round robin, copies at once; 1: copies late; 2 and 3: random
        while order:
            if policy == 1:
                order.reverse()
            elif policy > 1:
                random_.shuffle(order)
            moved = False
            for warp in order:
                if self.copies and (policy == 0 or policy > 1 and random_.random() < 0.3):
                    self.complete(random_.randrange(len(self.copies)))
                    moved = True
                moved |= warp.run(1 << 30 if policy < 2 else random_.randint(1, 40))
            order = [w for w in order if w.groups]
            if not moved and self.copies:
                self.complete(random_.randrange(len(self.copies)))
            elif not moved and order:
                raise PtxError(f"block {self.number}: deadlock\n" + "\n".join(map(self.device.waits_for, order)))
        if self.copies:
            raise PtxError(f"block {self.number} ends before all its tensor loads")
        for address, barrier in self.barriers.items():
            if barrier.arrived:
                raise PtxError(f"block {self.number} ends while {barrier.arrived} of {barrier.expected} threads are at barrier {address}")

    def complete(self, index):
        tensor, at, place, barrier, made = self.copies.pop(index)
        self.shared.bytes[place] = tensor.read(at).reshape(place.shape)
        if made:
            clock = np.zeros(self.agents, i4)
            clock[barrier.agent] = made
            barrier.clock = join(barrier.clock, clock)
        barrier.bytes -= tensor.bytes
        self.flip(barrier)

    def flip(self, barrier):
        """The next phase, when all have arrived and all bytes too."""
        if barrier.pending == 0 and barrier.bytes == 0:
            barrier.phase += 1
            barrier.pending = barrier.expected
            barrier.released = join(barrier.released, barrier.clock)
            barrier.clock = None

    def tile(self, address, tensor, access):
        """Where the bytes of a tensor map's box lie in shared memory from `address`: [rows, bytes of a row]."""
        address &= SHARED - 1
        key = address, id(tensor)
        if key not in self.tiles:
            if address % 128:
                raise PtxError(f"the tile at shared address {address:#x} is not aligned to 128 bytes")
            row = tensor.box[0] * tensor.element
            self.tiles[key] = swizzled(address + np.arange(tensor.bytes).reshape(-1, row), tensor.swizzle)
        place = self.tiles[key]
        if place.max() >= len(self.shared.bytes) or not (self.shared.access[place] & access).all():
            raise PtxError(f"a tile of {tensor.bytes} bytes at {address:#x} is not within shared memory")
        return place

    def matrix(self, descriptor, extent, mn_major):
        """Where the 16-bit values of a wgmma operand lie: [extent, 16]. Distances in a descriptor are in units of 16 bytes.

        K-major: rows of a swizzle's width, 8 of them an atom, atoms SBO apart. MN-major: columns of a swizzle's width, 8
        of them along K an atom; atoms LBO apart along M or N and SBO along K.
        """
        key = descriptor, extent, mn_major
        if key in self.matrices:
            return self.matrices[key]
        start, lbo, sbo = ((descriptor >> shift & 0x3FFF) << 4 for shift in (0, 16, 32))
        swizzle = SWIZZLES[descriptor >> 62]
        if descriptor >> 49 & 7:
            raise PtxError(f"matrix descriptor {descriptor:#x}: base offsets are not emulated")
        if descriptor & ~(0x3FFF | 0x3FFF << 16 | 0x3FFF << 32 | 3 << 62):
            raise PtxError(f"matrix descriptor {descriptor:#x} has bits set that mean nothing")
        mn, k = np.arange(extent)[:, None], np.arange(16)[None, :]
        if not mn_major:
            width = swizzle or 16
            places = mn // 8 * sbo + mn % 8 * width + (k * 2 if swizzle else k // 8 * lbo + k % 8 * 2)
        else:
            width = swizzle or 16
            along, across = (lbo, sbo) if swizzle else (sbo, lbo)
            places = mn // (width // 2) * along + mn % (width // 2) * 2 + k % 8 * width + k // 8 * across
        places = swizzled(start + places, swizzle)
        if places.min() < SHARED_BEGIN or places.max() + 1 >= len(self.shared.bytes):
            raise PtxError(f"matrix descriptor {descriptor:#x}: bytes {places.min():#x} to {places.max() + 1:#x} are not within shared memory")
        self.matrices[key] = places >> 1
        return self.matrices[key]


def swizzled(addresses, swizzle):
    """Chunks of 16 bytes change places within rows of 128, 64 or 32 bytes: address bits from 4 xor bits from 7."""
    if not swizzle:
        return addresses
    return addresses ^ (addresses >> 7 & swizzle // 16 - 1) << 4


class Device:
    """One launch of one kernel. `memory`: global memory, parameters included; `maps`: tensor maps by their address."""

    def __init__(self, kernel, memory, symbols, maps, threads, dynamic_size, blocks, workspace=(0, 0), seed=0, races=True):
        self.kernel, self.memory, self.maps, self.threads, self.blocks = kernel, memory, maps, threads, blocks
        self.workspace_begin, self.workspace_size = workspace
        self.seed, self.random, self.races = seed, random.Random(seed), races
        self.warp_numbers = range(-(-threads // LANES))
        self.ticks = 0
        self.dynamic_size = dynamic_size
        symbols = dict(symbols)
        end = SHARED_BEGIN
        # Every array without a size is the dynamic memory: those of other kernels as well.
        dynamic = [v for v in kernel.shared if v.size == 0]
        for variable in [v for v in kernel.shared if v.size] + dynamic:
            align = max(v.align for v in dynamic) if variable.size == 0 else variable.align
            end = -(-end // align) * align
            symbols[variable.name] = end
            end += variable.size
        self.shared_size = end + (dynamic_size if dynamic else 0)
        self.local_size = 0
        for variable in kernel.local:
            self.local_size = -(-self.local_size // 16) * 16
            symbols[variable.name] = self.local_size
            self.local_size += variable.size
        self.local_size = -(-self.local_size // 16) * 16
        self.lane_offsets = np.arange(LANES, dtype=u8) * u8(self.local_size)
        self.translator = Translator(kernel, symbols)
        self.blank = [np.full(LANES, (1 << bits) - 1, f"u{bits // 8}") if bits > 1 else np.full(LANES, True) for bits in kernel.registers]
        self.functions = {True: {}, False: {}}
        self.origins = {}

    def full(self, pc):
        return self.functions[True].get(pc) or self.translate(pc, True)

    def part(self, pc):
        return self.functions[False].get(pc) or self.translate(pc, False)

    def translate(self, pc, full):
        function, self.origins[pc, full] = self.translator.function(pc, full)
        self.functions[full][pc] = function
        return function

    def tensor(self, address):
        if address not in self.maps:
            raise PtxError(f"no tensor map at {address:#x}")
        return self.maps[address]

    def run(self, blocks=None):
        """Runs the grid's blocks, or the first few of them."""
        with np.errstate(all="ignore"):
            for number in range(min(self.blocks, blocks or self.blocks)):
                Block(self, number).run()

    # Messages.

    def instruction(self, pc):
        if pc >= len(self.kernel.code):
            return "the end"
        text = self.kernel.code[pc].text
        return f"line {self.kernel.code[pc].line}: {text if len(text) < 100 else text[:97] + '...'}"

    def current(self, warp):
        """Text of the product that a warp issues."""
        return self.instruction(warp.groups[0].pc)

    def describe(self, error, warp, group):
        """An error, with the instruction that it came from."""
        pc = group.pc
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith("<ptx"):
                origin = self.origins[group.pc, group.mask is None]
                pc = origin[frame.lineno - 1]
        message = str(error) if isinstance(error, PtxError) else repr(error)
        return f"{self.instruction(pc)}: {message} (warp {warp.number})"

    def waits_for(self, warp):
        lines = []
        for group in warp.groups:
            lanes = "" if group.mask is None else " lanes " + ",".join(map(str, np.flatnonzero(group.mask)))
            text = group.wait.text if group.wait else "nothing"
            lines.append(f"  warp {warp.number}{lanes} waits for {text() if callable(text) else text}: {self.instruction(group.pc)}")
        return "\n".join(lines)
