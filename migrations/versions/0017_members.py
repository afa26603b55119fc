"""members: invitations, roles of an organization, soft deletion"""

from alembic import op

from migrations.ddl import OURS, as_owner, as_system, definer, dropped, isolated, run, touched

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

OWNER = "00000000-0000-7000-8000-000000000001"
COLLEAGUE = (
    f"CREATE POLICY colleague ON users FOR SELECT TO app_api, app_worker "  # noqa: S608 - constants only
    f"USING (id IN (SELECT user_id FROM user_organizations WHERE {OURS} AND status {{status}}))"
)

#: One statement each.
STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE organizations ADD COLUMN deleted_at timestamptz",
    """
    -- squawk-ignore constraint-missing-not-valid
    ALTER TABLE organizations ADD CONSTRAINT ck_organizations_deleted CHECK (deleted_at IS NULL OR NOT is_active)
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_organizations_deleted_at ON organizations (deleted_at) WHERE deleted_at IS NOT NULL
    """,
    """
    -- squawk-ignore require-concurrent-index-creation
    CREATE INDEX ix_user_organizations_role_id ON user_organizations (organization_id, role_id)
    """,
    """
    CREATE TABLE invitations (
      id uuid DEFAULT gen_random_uuid() NOT NULL,
      organization_id uuid NOT NULL,
      email text NOT NULL,
      role_id uuid,
      token_id uuid NOT NULL,
      token_sha256 text NOT NULL,
      invited_by uuid NOT NULL,
      mails integer DEFAULT '1' NOT NULL,
      sent_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      accepted_by uuid,
      accepted_at timestamptz,
      revoked_at timestamptz,
      created_at timestamptz DEFAULT now() NOT NULL,
      updated_at timestamptz DEFAULT now() NOT NULL,
      CONSTRAINT pk_invitations PRIMARY KEY (id),
      CONSTRAINT uq_invitations_id UNIQUE (organization_id, id),
      CONSTRAINT uq_invitations_token_sha256 UNIQUE (token_sha256),
      CONSTRAINT ck_invitations_email CHECK (email = lower(email)),
      CONSTRAINT ck_invitations_mails CHECK (mails > 0),
      CONSTRAINT ck_invitations_accepted CHECK ((accepted_by IS NULL) = (accepted_at IS NULL)),
      CONSTRAINT ck_invitations_role_known
        CHECK (role_id IS NOT NULL OR accepted_at IS NOT NULL OR revoked_at IS NOT NULL),
      CONSTRAINT fk_invitations_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE,
      CONSTRAINT fk_invitations_role_id FOREIGN KEY (role_id) REFERENCES roles (id) ON DELETE SET NULL,
      CONSTRAINT fk_invitations_invited_by FOREIGN KEY (invited_by) REFERENCES users (id),
      CONSTRAINT fk_invitations_accepted_by FOREIGN KEY (accepted_by) REFERENCES users (id)
    )
    """,
    "CREATE INDEX ix_invitations_created_at_id ON invitations (organization_id, created_at, id)",
    "CREATE INDEX ix_invitations_role_id ON invitations (organization_id, role_id)",
    """
    CREATE UNIQUE INDEX uq_invitations_open ON invitations (organization_id, email)
      WHERE accepted_at IS NULL AND revoked_at IS NULL
    """,
    *isolated("invitations", by=("tenant", "system")),
    # The hash of a link is compared by definer functions alone.
    """
    GRANT SELECT (id, organization_id, email, role_id, token_id, invited_by, mails, sent_at, expires_at,
        accepted_by, accepted_at, revoked_at, created_at, updated_at),
      INSERT,
      UPDATE (token_id, token_sha256, invited_by, mails, sent_at, expires_at, revoked_at, updated_at)
      ON invitations TO app_api
    """,
    "GRANT SELECT, UPDATE (accepted_by, accepted_at, updated_at), DELETE ON invitations TO app_system",
    touched("invitations"),
    """
    CREATE TRIGGER own_role BEFORE INSERT OR UPDATE OF role_id, organization_id ON invitations
    FOR EACH ROW WHEN (NEW.role_id IS NOT NULL) EXECUTE FUNCTION app.own_role()
    """,
    # Who is suspended is still somebody their colleagues know; who has not accepted yet is not.
    "DROP POLICY colleague ON users",
    COLLEAGUE.format(status="IN ('active', 'suspended')"),
    f"CREATE POLICY own ON roles TO app_api USING ({OURS}) WITH CHECK ({OURS})",
    "GRANT INSERT, UPDATE (name, description, permissions, updated_at), DELETE ON roles TO app_api",
    """
    GRANT UPDATE (is_active, deleted_at, domain, is_verified, verification_level, updated_at)
      ON organizations TO app_system
    """,
    "GRANT UPDATE (role_id, status, joined_at, invited_by, updated_at) ON user_organizations TO app_system",
    """
    CREATE FUNCTION app.owner_remains() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      -- Whoever takes one owner away waits here for whoever takes another, and then sees what is left.
      PERFORM FROM public.organizations
      WHERE id = OLD.organization_id AND deleted_at IS NULL FOR NO KEY UPDATE;
      IF FOUND AND NOT EXISTS (
        SELECT FROM public.user_organizations
        WHERE organization_id = OLD.organization_id AND role_id = OLD.role_id AND status = 'active'
      ) THEN
        RAISE check_violation USING
          MESSAGE = 'an organization has at least one owner',
          CONSTRAINT = 'owner_remains', TABLE = 'user_organizations';
      END IF;
      RETURN NULL;
    END $$
    """,
    # Being there is no change that somebody else's If-Match should fail for.
    "DROP TRIGGER touch ON user_organizations",
    """
    CREATE TRIGGER touch BEFORE UPDATE OF role_id, status, permissions_override, invited_by, joined_at
    ON user_organizations FOR EACH ROW EXECUTE FUNCTION app.touch()
    """,
    f"""
    CREATE TRIGGER owner_remains AFTER UPDATE OF role_id, status OR DELETE ON user_organizations
    FOR EACH ROW WHEN (OLD.role_id = '{OWNER}' AND OLD.status = 'active')
    EXECUTE FUNCTION app.owner_remains()
    """,
)

#: Signature → body. Each runs as app_system for app_api alone, with nothing on its search path.
DEFINERS = {
    "app.create_organization(member uuid, new_organization jsonb, most integer) RETURNS text "
    "LANGUAGE plpgsql VOLATILE": """
        DECLARE
          wanted uuid = new_organization ->> 'id';
        BEGIN
          -- One after the other for each person, so that the count holds.
          PERFORM FROM public.users WHERE id = member AND is_active FOR NO KEY UPDATE;
          IF NOT FOUND THEN
            RETURN 'unknown';
          END IF;
          IF EXISTS (SELECT FROM public.organizations WHERE id = wanted) THEN
            RETURN CASE WHEN EXISTS (SELECT FROM public.organizations WHERE id = wanted AND created_by = member)
              THEN 'exists' ELSE 'unknown' END;
          END IF;
          IF (SELECT count(*) FROM public.user_organizations
              WHERE user_id = member AND role_id = '00000000-0000-7000-8000-000000000001') >= most THEN
            RETURN 'too_many';
          END IF;
          INSERT INTO public.organizations (id, name, slug, description, website, industry, company_size, phone,
            address, city, state, zip_code, country, timezone, created_by)
          SELECT id, name, slug, description, website, industry, company_size, phone, address, city, state,
            zip_code, coalesce(country, 'US'), coalesce(timezone, 'UTC'), member
          FROM jsonb_to_record(new_organization) AS given(id uuid, name text, slug text, description text,
            website text, industry text, company_size text, phone text, address text, city text, state text,
            zip_code text, country text, timezone text);
          INSERT INTO public.user_organizations (user_id, organization_id, role_id, status, joined_at)
          VALUES (member, wanted, '00000000-0000-7000-8000-000000000001', 'active', now());
          UPDATE public.users SET default_organization_id = wanted
          WHERE id = member AND default_organization_id IS NULL;
          RETURN 'created';
        END
    """,
    "app.close_organization(organization uuid, member uuid, moment timestamptz) RETURNS boolean "
    "LANGUAGE sql VOLATILE": """
        WITH closed AS (
          UPDATE public.organizations SET is_active = false, deleted_at = moment
          WHERE id = organization AND is_active AND EXISTS (
            SELECT FROM public.user_organizations
            WHERE organization_id = organization AND user_id = member AND role_id = '00000000-0000-7000-8000-000000000001'
              AND status = 'active')
          RETURNING 1)
        SELECT EXISTS (SELECT FROM closed)
    """,
    "app.restore_organization(organization uuid, member uuid, since timestamptz) RETURNS text "
    "LANGUAGE plpgsql VOLATILE": """
        DECLARE
          closed public.organizations;
        BEGIN
          SELECT o.* INTO closed FROM public.organizations AS o
          JOIN public.user_organizations AS m ON m.organization_id = o.id
          JOIN public.users AS u ON u.id = m.user_id AND u.is_active
          WHERE o.id = organization AND m.user_id = member AND m.role_id = '00000000-0000-7000-8000-000000000001' AND m.status = 'active'
          FOR NO KEY UPDATE OF o;
          IF NOT FOUND THEN
            RETURN 'unknown';
          ELSIF closed.is_active THEN
            RETURN 'active';
          ELSIF closed.deleted_at IS NULL OR closed.deleted_at <= since THEN
            RETURN 'too_late';
          END IF;
          UPDATE public.organizations SET is_active = true, deleted_at = NULL WHERE id = organization;
          RETURN 'restored';
        END
    """,
    "app.my_deleted_organizations(member uuid, since timestamptz) RETURNS TABLE (organization_id uuid, "
    "name text, slug text, deleted_at timestamptz) LANGUAGE sql STABLE": """
        SELECT o.id, o.name, o.slug, o.deleted_at
        FROM public.user_organizations AS m
        JOIN public.organizations AS o ON o.id = m.organization_id
        WHERE m.user_id = member AND m.role_id = '00000000-0000-7000-8000-000000000001' AND m.status = 'active' AND o.deleted_at > since
        ORDER BY o.name, o.id
    """,
    "app.find_invitation(wanted text, moment timestamptz) RETURNS TABLE (id uuid, organization_id uuid, "
    "organization text, domain text, settings jsonb, email text, role text, inviter text, "
    "expires_at timestamptz, has_account boolean) LANGUAGE sql STABLE": """
        SELECT i.id, o.id, o.name, CASE WHEN o.is_verified THEN o.domain END, o.settings, i.email, r.name,
          coalesce(nullif(concat_ws(' ', u.first_name, u.last_name), ''), u.email), i.expires_at,
          EXISTS (SELECT FROM public.users AS known WHERE lower(known.email) = i.email)
        FROM public.invitations AS i
        JOIN public.organizations AS o ON o.id = i.organization_id AND o.is_active
        JOIN public.roles AS r ON r.id = i.role_id
        JOIN public.users AS u ON u.id = i.invited_by
        WHERE i.token_sha256 = wanted AND i.accepted_at IS NULL AND i.revoked_at IS NULL
          AND i.expires_at > moment
    """,
    "app.accept_invitation(wanted text, member uuid, moment timestamptz) RETURNS text "
    "LANGUAGE plpgsql VOLATILE": """
        DECLARE
          invited public.invitations;
          standing text;
        BEGIN
          -- The row lock makes two who hold one link take turns: the second finds it used.
          SELECT i.* INTO invited FROM public.invitations AS i
          JOIN public.organizations AS o ON o.id = i.organization_id AND o.is_active
          WHERE i.token_sha256 = wanted AND i.accepted_at IS NULL AND i.revoked_at IS NULL
            AND i.expires_at > moment
          FOR UPDATE OF i;
          IF NOT FOUND THEN
            RETURN 'unknown';
          END IF;
          IF NOT EXISTS (
            SELECT FROM public.users WHERE id = member AND is_active AND lower(email) = invited.email) THEN
            RETURN 'other_address';
          END IF;
          SELECT status INTO standing FROM public.user_organizations
          WHERE organization_id = invited.organization_id AND user_id = member FOR UPDATE;
          IF standing = 'suspended' THEN
            RETURN 'suspended';
          ELSIF standing IS NULL THEN
            INSERT INTO public.user_organizations
              (user_id, organization_id, role_id, status, invited_by, joined_at)
            VALUES (member, invited.organization_id, invited.role_id, 'active', invited.invited_by, moment);
          ELSIF standing = 'pending' THEN
            UPDATE public.user_organizations
            SET role_id = invited.role_id, status = 'active', invited_by = invited.invited_by, joined_at = moment
            WHERE organization_id = invited.organization_id AND user_id = member;
          END IF;
          UPDATE public.invitations SET accepted_at = moment, accepted_by = member WHERE id = invited.id;
          UPDATE public.users SET default_organization_id = invited.organization_id
          WHERE id = member AND default_organization_id IS NULL;
          RETURN CASE WHEN standing = 'active' THEN 'member' ELSE 'accepted' END;
        END
    """,
    # The address is the invitation's: who holds its link reads that mailbox, so it is proven.
    "app.register_invited(wanted text, new_user jsonb, moment timestamptz) RETURNS text "
    "LANGUAGE plpgsql VOLATILE": """
        DECLARE
          newcomer uuid = new_user ->> 'id';
        BEGIN
          INSERT INTO public.users (id, username, email, password, first_name, last_name, email_verified,
            email_verified_at, role_id)
          SELECT newcomer, i.email, i.email, new_user ->> 'password', new_user ->> 'first_name',
            new_user ->> 'last_name', true, moment, '00000000-0000-7000-8000-000000000004'
          FROM public.invitations AS i
          WHERE i.token_sha256 = wanted AND i.accepted_at IS NULL AND i.revoked_at IS NULL
            AND i.expires_at > moment;
          RETURN app.accept_invitation(wanted, newcomer, moment);
        END
    """,
}


@as_owner()
def upgrade() -> None:
    run(STATEMENTS)
    with as_system():
        for signature, body in DEFINERS.items():
            run(definer(signature, body, "app_api"))


@as_owner()
def downgrade() -> None:
    run(dropped(DEFINERS))
    op.execute("DROP TRIGGER touch ON user_organizations")
    op.execute(touched("user_organizations"))
    op.execute("DROP TRIGGER owner_remains ON user_organizations")
    op.execute("DROP FUNCTION app.owner_remains()")
    op.execute(
        "REVOKE UPDATE (role_id, status, joined_at, invited_by, updated_at) ON user_organizations FROM app_system"
    )
    op.execute(
        "REVOKE UPDATE (is_active, deleted_at, domain, is_verified, verification_level, updated_at) "
        "ON organizations FROM app_system"
    )
    op.execute(
        "REVOKE INSERT, UPDATE (name, description, permissions, updated_at), DELETE ON roles FROM app_api"
    )
    op.execute("DROP POLICY own ON roles")
    op.execute("DROP POLICY colleague ON users")
    op.execute(COLLEAGUE.format(status="= 'active'"))
    op.execute("DROP TABLE invitations")
    op.execute("DROP INDEX ix_user_organizations_role_id")
    op.execute("DROP INDEX ix_organizations_deleted_at")
    op.execute("ALTER TABLE organizations DROP CONSTRAINT ck_organizations_deleted, DROP COLUMN deleted_at")
