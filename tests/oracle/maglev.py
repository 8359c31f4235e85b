"""Maglev's table (Eisenbud et al., NSDI 2016, §3.4): which member each hash of a flow belongs to.

As the paper has it, every member has a permutation of the slots (an offset and a step out of a hash
of its name), and members take turns, each the next slot of its permutation that is still free. What
the product adds: a power of two of slots with odd steps, names that are addresses, and weights (a
member has its turn in a round in which its credit reaches the heaviest one's weight).
"""

from functools import cache

SLOTS = 2**14
WORD = 2**64


def splitmix(word: int) -> int:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014) after one step of its counter."""
    word = (word + 0x9E3779B97F4A7C15) % WORD
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % WORD
    return word ^ (word >> 31)


def hash_of(address) -> int:
    number = int(address)
    high, low = (4, number) if address.version == 4 else divmod(number, WORD)
    return splitmix((splitmix(high) + low) % WORD)


def permutation(address) -> list[int]:
    hashed = hash_of(address)
    offset, step = hashed % SLOTS, ((hashed >> 32) | 1) % SLOTS
    return [(offset + turn * step) % SLOTS for turn in range(SLOTS)]


@cache
def table(members: tuple) -> list[int]:
    """By slot, the place of its member. `members` are (address, weight)."""
    wishes = [iter(permutation(address)) for address, _ in members]
    heaviest = max(weight for _, weight in members)
    credit = [0] * len(members)
    owners: dict[int, int] = {}
    while len(owners) < SLOTS:
        for place, (_, weight) in enumerate(members):
            credit[place] += weight
            if credit[place] < heaviest:
                continue
            credit[place] -= heaviest
            slot = next((slot for slot in wishes[place] if slot not in owners), None)
            if slot is not None:
                owners[slot] = place
    return [owners[slot] for slot in range(SLOTS)]
