-- Everything a database holds, with its definition and comments: what is not listed here could hide a number.
SELECT 'table' AS kind, schema_name || '.' || table_name AS name, sql || coalesce(comment, '') AS definition
FROM duckdb_tables() WHERE database_name = $database
UNION ALL
SELECT 'view', schema_name || '.' || view_name, sql || coalesce(comment, '')
FROM duckdb_views() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'column', schema_name || '.' || table_name || '.' || column_name, data_type || coalesce(comment, '')
FROM duckdb_columns() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'macro', schema_name || '.' || function_name, coalesce(macro_definition, '')
FROM duckdb_functions() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'sequence', schema_name || '.' || sequence_name, sql FROM duckdb_sequences() WHERE database_name = $database
UNION ALL
SELECT 'index', schema_name || '.' || index_name, coalesce(sql, '') FROM duckdb_indexes() WHERE database_name = $database
UNION ALL
SELECT 'type', schema_name || '.' || type_name, logical_type
FROM duckdb_types() WHERE database_name = $database AND NOT internal
UNION ALL
SELECT 'schema', schema_name, coalesce(comment, '')
FROM duckdb_schemas() WHERE database_name = $database AND (NOT internal OR comment IS NOT NULL)
