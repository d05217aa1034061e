"""Values that no field of a config or a file should hold, and ways to damage a text."""

import json
import random

import ml_collections

ODD_VALUES = (
    *("many", "", "x" * 100_000, "né 線虫 \u202e", "two\nlines", "\0\x1b[31m", "\ud800", "__import__('os').abort()"),
    *(None, True, False, -1, 0, 1, 2, 10**18, 10**5000),
    *(-1.5, 0.0, 0.5, 1e308, float("nan"), float("inf"), -float("inf")),
    *((), [], (1, 2), (0.5,), ("a", "b"), ["x", "x"], (float("nan"),), ((1,),), tuple(range(-5000, 5000))),
    *({"a": {"b": 1}}, ml_collections.ConfigDict({"a": 1}), object(), b"bytes", 3j, {1, 2}, len),
)
ODD_JSON = (
    *('"many"', '""', '"two\\nlines"', '"\\u0000\\u001b"', '"\\ud800"', '"' + "x" * 10_000 + '"'),
    *("null", "true", "-1", "0", "1.5", "1e308", "1e999", "NaN", "-Infinity", "1" + "0" * 18, "9" * 5000),
    *("[]", "{}", "[1, 2]", '["a", "a"]', "[[[]]]", "[null]", '{"a": 1}', '{"a.b": 1}', '{"": 1}', '{"a": 1, "a": 2}'),
    *("[" * 100_000, '{"a":' * 50_000, "[" * 30 + "]" * 30, json.dumps([f"n{k}" for k in range(20_000)])),
)


def damage_bytes(content: bytes, number: int, ahead: int = 0) -> bytes:
    """Content with a few bytes changed, half the time among the first `ahead`; sometimes cut off; by number."""
    chance, damaged = random.Random(number), bytearray(content)
    reach = min(ahead, len(content)) if ahead and chance.random() < 0.5 else len(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(reach)
        damaged[place] = chance.choice([0, 255, chance.randrange(256), damaged[place] ^ (1 << chance.randrange(8))])
    return bytes(damaged[: chance.randrange(len(damaged))] if chance.random() < 0.15 else damaged)


def damage_json(content: dict, number: int) -> str:
    """A JSON text with one value anywhere replaced by an odd one, left out, or given twice; by number."""
    chance = random.Random(number)
    parent, name = content, chance.choice(list(content))
    while isinstance(parent[name], dict) and parent[name] and chance.random() < 0.9:
        parent = parent[name]
        name = chance.choice(list(parent))
    mark, own = "a mark that is nowhere else", json.dumps(parent[name])
    parent[name] = mark
    text = json.dumps(content)
    pair = f"{json.dumps(name)}: {json.dumps(mark)}"
    change = chance.random()
    if change < 0.15:
        return text.replace(f"{pair}, ", "").replace(f", {pair}", "").replace(pair, "")
    if change < 0.25:
        return text.replace(pair, f"{json.dumps(name)}: {own}, {json.dumps(name)}: {own}")
    return text.replace(json.dumps(mark), chance.choice(ODD_JSON))
