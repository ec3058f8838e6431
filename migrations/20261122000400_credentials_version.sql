-- Which credentials a token was got with. Owner: src/account.

alter table accounts add column credentials_version bigint not null default 0;
comment on column accounts.credentials_version is
    'Counts changes of identity and credentials, of which a renewal is none: a token that was got with others is not used any more.';
