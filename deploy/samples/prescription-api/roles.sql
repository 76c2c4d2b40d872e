-- Run once, by a superuser: psql -v owner=PASSWORD -v app=PASSWORD -f roles.sql
-- The tables belong to one role, the application works as another, which row-level security holds.
CREATE ROLE prescription_owner LOGIN PASSWORD :'owner';
CREATE ROLE prescription_app LOGIN PASSWORD :'app';
CREATE DATABASE prescriptions OWNER prescription_owner;
