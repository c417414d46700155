"""Users' expressions over fields, which can reach nothing but the row."""

import duckdb
import pytest

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.expressions import check_expression, lock, named_fields

FIELDS = ["id", "caption", "score", "tags", "odd name", "none", "zero", "scores", "shot", "hole"]


@pytest.fixture
def connection():
    """A database with a table, from which nothing else can be reached."""
    made = duckdb.connect()
    made.execute(
        "CREATE TABLE t AS SELECT '1' AS id, 'a cat' AS caption, 0.5 AS score, ['x'] AS tags, "
        "1 AS \"odd name\", 'nan'::FLOAT AS none, 0 AS zero, [0.5, 'nan'::DOUBLE] AS scores, "
        "{'eye': 'nan'::DOUBLE} AS shot, 0.25 AS hole"
    )
    lock(made)
    return made


@pytest.mark.parametrize(
    "text",
    [
        "score > 0.2",
        "SCORE > 0.2 -- a comment",
        "caption ILIKE '%cat%' AND list_contains(tags, 'x')",
        "len(list_filter(tags, lambda t: t = 'x')) = 1",
        "sqrt(hole) / hole = 2 AND sqrt(hole + sqrt(hole)) < 1",
        "len(list_filter(tags, lambda hole: upper(hole) = 'X')) = 1",
        '"odd name" = 1',
        "CASE WHEN score > 1 THEN false ELSE caption LIKE 'a%' END",
        "tags[1] = 'x' AND id IN ('1', '2') AND score BETWEEN 0 AND 1",
        "caption <> '); DROP TABLE t; --'",
    ],
)
def test_an_expression_finds_its_rows(connection, text):
    """Operators, functions and lambdas of SQL can be used."""
    checked = check_expression(connection, text, "t", FIELDS)
    assert connection.execute(f"SELECT id FROM t WHERE {checked}").fetchall() == [("1",)]


@pytest.mark.parametrize(
    "text",
    [
        "none > 0.5",
        "none <= 0.5",
        "zero / zero > 0.9",
        "NOT (zero / score / zero <= 3)",
        "-(zero / zero) > 0.9",
        "none = none",
        "none IN (1, none)",
        "none BETWEEN 0 AND 1",
        "sqrt(none) > 0",
        "'nan'::DOUBLE > 1",
        "scores[2] > 0",
        "shot.eye > 0",
        "CASE WHEN zero = 0 THEN none ELSE 1 END > 0",
        "list_filter([none], lambda s: s > 0)[1] > 0",
        "list_filter(scores, lambda s: s > 0.6)[1] > 0",
        "list_transform([zero], lambda z: z / z)[1] > 0",
    ],
)
def test_a_number_that_is_none_is_unknown(connection, text):
    """It is not above all others, wherever in an expression it arises."""
    checked = check_expression(connection, text, "t", FIELDS)
    assert connection.execute(f"SELECT {checked} FROM t").fetchall() == [(None,)]


@pytest.mark.parametrize(
    "text",
    [
        "coalesce(none, 1) = 1",
        "greatest(zero / zero, 1) = 1",
        "none IS NULL AND caption = 'a cat'",
        "score / zero > 9 AND id LIKE '1'",
        "score > 0.2 AND list_contains(list_transform(tags, lambda t: t || ' ''n'), 'x ''n')",
        "score >= 0.5 AND typeof(none) = 'FLOAT'",
        """score < 1 AND "odd name" + 1 = 2 AND caption NOT ILIKE '%dog%' ESCAPE '$'""",
        "score::INT = 1 AND extract(year FROM DATE '2020-02-01' + INTERVAL 1 DAY) = 2020",
        "score > 0 AND strftime(DATE '2020-02-01', '%Y' || '-%m') = '2020-02'",
        "score IS NOT NULL AND caption SIMILAR TO 'a.*' AND tags[1:1] = ['x'] AND zero // 1 = 0",
        "score > 0 AND '{\"a\": 0.5}'::JSON ->> '$.a' = '0.5'",
        "+".join(["score::DOUBLE"] * 60) + " = 30",
    ],
)
def test_all_else_means_the_same(connection, text):
    """What is told of a NaN changes nothing of other numbers, texts, lists and times."""
    checked = check_expression(connection, text, "t", FIELDS)
    assert connection.execute(f"SELECT id FROM t WHERE {checked}").fetchall() == [("1",)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no SQL expression"),
        ("score >", "no SQL expression: syntax error"),
        ("score > 1) OR (1 = 1", "no SQL expression"),
        ("1; DROP TABLE t", "no SQL expression"),
        ("1 = 1 UNION SELECT true", "one expression"),
        ("true FROM t", "one expression"),
        ("true WHERE false", "one expression"),
        ("score > 1, true", "one expression"),
        ("score IN (SELECT 1)", "queries in queries"),
        ("EXISTS (SELECT * FROM read_csv('/etc/passwd'))", "queries in queries"),
        ("count(*) OVER () > 1", "window functions"),
        ("COLUMNS('s.*') > 1", r"\*"),
        ("score > $1", "parameters"),
        ("len(range(1000000000)) > 1", "may not call range"),
        ("scor > 1", "no field 'scor'; did you mean 'score'"),
        ("t.score > 1", "no field 't'"),
        ("x" * 5000, "5,000 characters"),
        ("NOT " * 900 + "score > 1", "too many expressions within expressions"),
    ],
)
def test_anything_else_is_refused(connection, text, why):
    """It is told what is wrong, and nothing of it runs."""
    with pytest.raises(InvalidArgumentError, match=why):
        check_expression(connection, text, "t", FIELDS)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '/tmp/written-by-a-filter.csv'",
        "ATTACH '/tmp/attached-by-a-filter.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM 'https://example.com/x.parquet'",
    ],
)
def test_a_locked_database_reaches_no_file(connection, query):
    """Even a query that came past the check reads no file, writes none, and unlocks nothing."""
    with pytest.raises(duckdb.Error):
        connection.execute(query)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b > 0.3 AND a < 2 OR b = 1", ["b", "a"]),
        ("\"odd name\" = 'caption'", ["odd name"]),
        ("len(list_filter(tags, lambda one: one <> other)) > 1", ["tags", "other"]),
        ("true", []),
    ],
)
def test_fields_that_are_named(text, names):
    """In their order, once each; what is quoted as a text is no field, nor what a lambda names."""
    assert named_fields(text, "the filter") == names
