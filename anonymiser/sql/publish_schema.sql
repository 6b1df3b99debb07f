-- The published file: what was released and how (release), each number (cell), and a view per statistic for people.
CREATE TABLE release (
    release_id VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    period_start DATE NOT NULL,
    period_end DATE NOT NULL,
    policy VARCHAR NOT NULL,
    epsilon DOUBLE NOT NULL,
    delta DOUBLE NOT NULL,
    k INTEGER NOT NULL,
    bounds JSON NOT NULL,
    weights JSON NOT NULL,
    catalogue_sha256 VARCHAR NOT NULL,
    software VARCHAR NOT NULL,
    released_at TIMESTAMP NOT NULL
);
CREATE TABLE cell (
    release_id VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    period_start DATE NOT NULL,
    period_days INTEGER NOT NULL,
    statistic VARCHAR NOT NULL,
    key1 VARCHAR NOT NULL,
    key2 VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value BIGINT NOT NULL,
    sigma DOUBLE NOT NULL
);
CREATE MACRO shown(value) AS greatest(value, 0);
CREATE MACRO margin(sigma) AS round(1.96 * sigma, 1);
CREATE MACRO last_day(period_start, period_days) AS period_start + CAST(period_days - 1 AS INTEGER);
CREATE VIEW totals AS
SELECT site, period_start AS day, metric, shown(value) AS value, margin(sigma) AS margin
FROM cell WHERE statistic = 'totals';
CREATE VIEW hours AS
SELECT site, period_start AS day, CAST(key1 AS INTEGER) AS hour, shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'hours';
CREATE VIEW "returning" AS
SELECT site, period_start AS day, key1 AS gap_days, shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'returning';
CREATE VIEW sources AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS source, key2 AS channel,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'sources';
CREATE VIEW channels AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key2 AS channel,
    shown(sum(value)) AS visitors, margin(sqrt(sum(sigma * sigma))) AS margin
FROM cell WHERE statistic = 'sources' GROUP BY site, period_start, period_days, key2;
CREATE VIEW browsers AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS browser,
    shown(sum(value)) AS visitors, margin(sqrt(sum(sigma * sigma))) AS margin
FROM cell WHERE statistic = 'browsers' GROUP BY site, period_start, period_days, key1;
CREATE VIEW systems AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key2 AS system,
    shown(sum(value)) AS visitors, margin(sqrt(sum(sigma * sigma))) AS margin
FROM cell WHERE statistic = 'browsers' GROUP BY site, period_start, period_days, key2;
CREATE VIEW funnels AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS funnel, key2 AS step,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'funnels';
CREATE VIEW pages AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS page,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'pages';
CREATE VIEW entries AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS page,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'entries';
CREATE VIEW exits AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS page,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'exits';
CREATE VIEW campaigns AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS campaign,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'campaigns';
CREATE VIEW countries AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS country,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'countries';
CREATE VIEW devices AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS device,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'devices';
CREATE VIEW languages AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS language,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'languages';
CREATE VIEW screens AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS screen,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'screens';
CREATE VIEW goals AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS goal,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'goals';
CREATE VIEW outbound AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS domain,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'outbound';
CREATE VIEW downloads AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS file,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'downloads';
CREATE VIEW not_found AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS page,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'not_found';
CREATE VIEW searches AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS term,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'searches';
CREATE VIEW engagement AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS seconds,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'engagement';
CREATE VIEW scroll AS
SELECT site, period_start, last_day(period_start, period_days) AS period_end, key1 AS depth,
    shown(value) AS visitors, margin(sigma) AS margin
FROM cell WHERE statistic = 'scroll';
