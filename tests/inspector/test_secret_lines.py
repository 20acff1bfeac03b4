"""Lines of real histories and settings, in both directions: secrets fail an image, what talks of secrets does not."""

import pytest

from tests.inspector.memory import facts_of
from tests.inspector.test_secrets import AWS_SECRET, GITHUB, RANDOM

from findings import Item  # isort: skip
from items import security_secrets  # isort: skip
from security.leftovers.passwords import Strength, strength  # isort: skip

HARMLESS_COMMANDS = r"""
git commit -m 'password: validation improved'
git commit -m "Fix token: refresh handling for sessions-v2"
git commit -m 'docs: password=... is gone, use --password-file'
grep -rn 'password: ' /etc/nginx /srv/app
grep -E "passwd|password=" config/database.yml
sed -i 's/PasswordAuthentication yes/PasswordAuthentication no/' /etc/ssh/sshd_config
sed -i 's/^password=.*/password=${DB_PASSWORD}/' /etc/app.conf
read -s -p "Password: " PASSWORD
read -rsp 'Enter password: ' pw
openssl passwd -6
openssl rsa -passin file:/root/pass.txt -in key.pem
ansible-playbook site.yml --vault-password-file ~/.vault_pass
ansible-vault view group_vars/all/vault.yml
kubectl create secret generic db --from-literal=password=$(pwgen -s 20 1)
kubectl get secret db -o jsonpath='{.data.password}' | base64 -d
kubectl create secret docker-registry regcred --docker-password="$(cat ~/token)"
docker run -d -e MYSQL_ROOT_PASSWORD=my-secret-pw mysql:8
docker run -d -e POSTGRES_PASSWORD=mysecretpassword postgres
docker run -e POSTGRES_PASSWORD=postgres -p 5432:5432 postgres
docker login -u foo --password-stdin registry.example.com
echo "$TOKEN" | docker login -u foo --password-stdin
mysql -u root -p
mysql -uroot -proot app
mysql -u root -ppassword
mysqldump --user=root --password app
psql postgres://postgres:postgres@localhost:5432/app
curl -u admin:admin http://localhost:9200
curl -u elastic:changeme localhost:9200
curl -u user:password https://example.com
curl -u "$USER:$PASS" https://host
curl -H "Authorization: Bearer $TOKEN" https://api
curl -H "Authorization: token ${GITHUB_TOKEN}" https://api
curl 'https://user:pass@example.com/x'
export http_proxy=http://proxyuser:proxypass@proxy.example.com:8080
export TOKEN=$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)
export VAULT_TOKEN=`vault print token`
export API_KEY=your-api-key-goes-here
export SECRET_NAME=projects/acme/secrets/db-password/versions/3
aws secretsmanager get-secret-value --secret-id arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbC123
terraform apply -var db_password=ssm:/prod/db/password1
python3 -c "import getpass; password=getpass.getpass()"
python -c 'password = os.environ["DB_PASSWORD"]'
node -e 'const token = process.env.API_TOKEN_PRODUCTION1'
vim password.txt
cat /etc/passwd | cut -d: -f1
chpasswd < users.txt
echo 'root:root' | chpasswd
echo "ubuntu:$PASS" | chpasswd
passwd --stdin root
useradd -m -p '*' bob
htpasswd -c /etc/nginx/.htpasswd alice
sudo -S -p 'password: ' true
history | grep password=
apt-get install -y libpam-passwdqc passwdqc
ssh-keygen -t ed25519 -N '' -f key
ssh -o PasswordAuthentication=no -o PreferredAuthentications=publickey host1
zypper addlock secret-tool && echo token=disabled
secret-tool lookup password=keyring1
pass insert -m email/password1
gpg --batch --passphrase '' --quick-gen-key x
gpg --passphrase-file /root/p --decrypt x.gpg
sshpass -f /root/.p ssh host
sshpass -e ssh host
sshpass -p "$PW" ssh host
git clone https://oauth2:${TOKEN}@gitlab.com/x/y.git
git clone https://x-access-token:$GH_TOKEN@github.com/x/y
redis-cli -a "$REDIS_PASSWORD" ping
java -Djavax.net.ssl.trustStorePassword=changeit -jar app.jar
keytool -importcert -storepass changeit -keystore cacerts
cryptsetup luksOpen --key-file=/root/key /dev/sdb1 secret
nmcli dev wifi connect home password
wpa_passphrase home
ldapsearch -x -W -D cn=admin,dc=example,dc=com
vault kv get -field=password secret/prod/db01
vault write auth/approle/login role_id=$R secret_id=$S
az ad sp create-for-rbac --password $(openssl rand -hex 16)
helm upgrade app . --set auth.existingSecret=app-secret-v2 --set global.token=vault-token-reviewer
sops --set '["db"]["password"] "x"' f.yaml
yq '.password = strenv(PW)' f.yml
jq -r .token response.json
tar czf secret.tgz /etc/secret && md5sum secret.tgz
echo "password=argon2id hashing" >> TODO
ps aux | grep -- --password=
: 1700000000:0;cat token
#1700000000
"""
HARMLESS_SETTINGS = r"""
DB_PASSWORD=
PASSWORD_FILE=/run/secrets/db
SECRET_KEY=changeme
TOKEN=${X}
export HISTIGNORE="*password*:*token*"
export SSH_ASKPASS=/usr/lib/ssh/x11-ssh-askpass
export PASSWORD_STORE_DIR="$HOME/.password-store"
export SUDO_PROMPT="[sudo] password for %u: "
alias genpass='openssl rand -base64 24'
alias pass='gopass'
OLDPWD=/root
PWD=/srv/app1
SMTP_PASS=
#SNMP_PASSWORD=public12
# http_proxy=http://user:s3cret1@proxy.corp.net:3128/
JWT_SECRET=arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/jwt-AbC123
API_TOKEN=vault:secret/data/app#token1
API_TOKEN=ENC[AES256_GCM,data:abc123,iv:abc]
DATABASE_URL=postgres://postgres:postgres@localhost:5432/app
DATABASE_URL=postgres://app@db/app
REDIS_URL=redis://localhost:6379/0
AMQP_URL=amqp://guest:guest@localhost:5672/
MONGO_URL=mongodb://root:example@mongo:27017
SECRET_KEY=insecure-development-key
PASSWORD=gnome_keyring_find_password()
NEXT_PUBLIC_TOKEN_NAME=session-token-cookie
TOKEN_URL=https://login.corp.net/oauth2/v2.0/token
PASSWORD_MIN_LENGTH=12
PASSWORD_HASHER=argon2id
password_policy=minlen=12,dcredit=-1
SECRET_BACKEND=kubernetes.io/v1
KEYCLOAK_TOKEN=$(cat /x)
API_KEY=00000000000000000000000000000000
API_KEY=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
API_KEY=<your-api-key>
APP_KEY=base64:
passwd: files systemd
password:  {{ vault_db_password }}
password: !vault |
password: ENC(abc123xyz)
lock_passwd: true
ssh_pwauth: false
chpasswd: { expire: False }
FTP_PROXY_PASSWORD=none
DAEMON_OPTS="--password-file=/etc/x"
DAEMON_OPTS="--auth-token-file /etc/x1"
GITHUB_TOKEN=op://vault/github/token1
GIT_ASKPASS=/bin/true
"""
HISTORY = "/root/.bash_history"
SETTINGS = "/opt/app/.env"


def judged(path: str, line: str) -> Item:
    return security_secrets.judge(facts_of({"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", path: f"{line}\n"}))


@pytest.mark.parametrize("line", HARMLESS_COMMANDS.strip().split("\n"))
def test_a_command_that_tells_nothing(line: str) -> None:
    item = judged(HISTORY, line)
    assert (item.level, item.code) == ("warning", "Secrets.ShellHistory"), item.evidence


@pytest.mark.parametrize("line", HARMLESS_SETTINGS.strip().split("\n"))
def test_a_setting_that_tells_nothing(line: str) -> None:
    assert judged(SETTINGS, line).level == "ok"


MAYBE = [
    ("PASSWORD=sunshine", "su… (8 characters)"),
    ("DB_PASSWORD=myadminpassword123", "myad… (18 characters)"),
    ("db_pass: correct-horse-battery", "corr… (21 characters)"),
    ("SMTP_PASS=Welcome1!", "We… (9 characters)"),
    ("URL=amqp://app:rabbits@mq.corp.net/", "r… (7 characters)"),
    ("RUN='mysql -u app -pfoobar x'", "f… (6 characters)"),
    ("# DB_PASSWORD=Winter2024", "Wi… (10 characters)"),
    ("#URL=https://app:Winter2024@db.corp.net/", "Wi… (10 characters)"),
]


@pytest.mark.parametrize(("line", "masked"), MAYBE)
def test_a_word_in_a_passwords_place_is_a_warning_in_settings_and_none_in_a_history(line: str, masked: str) -> None:
    item = judged(SETTINGS, line)
    assert (item.level, item.code) == ("warning", "Secrets.PasswordLike")
    (evidence,) = item.evidence
    assert (evidence.path, evidence.line) == (SETTINGS, 1)
    assert str(evidence.text).endswith(masked)
    assert judged(HISTORY, line.lstrip("# ")).code in {"Secrets.ShellHistory", "Secrets.Token" if "Winter" in line else None}


SECRETS = [
    (f"export DB_PASS={RANDOM[:12]}", RANDOM[:12]),
    (f"SMTP_PWD={RANDOM[:12]}", RANDOM[:12]),
    ("export DB_PASSWORD=Winter2024", "Winter2024"),
    ("export DB_PASSWORD='Tr0ub4dor&3'", "Tr0ub4dor&3"),
    (f"SECRET_KEY_BASE={'0f1e2d3c4b5a6978' * 8}", "0f1e2d3c4b5a6978" * 8),
    (f"APP_KEY=base64:{AWS_SECRET}=", f"base64:{AWS_SECRET}="),
    (f"JWT_SECRET={RANDOM[:24]}", RANDOM[:24]),
    ("API_TOKEN=123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-42d3-a456-426614174000"),
    (f"REDIS_URL=redis://:{RANDOM[:14]}@cache.corp.net:6379/0", RANDOM[:14]),
    (f"curl https://api.corp.net/v1?api_key={RANDOM[:20]}", RANDOM[:20]),
    (f"java -Ddb.password={RANDOM[:12]} -jar app.jar", RANDOM[:12]),
    (f"OPTIONS=--db-password={RANDOM[:14]}", RANDOM[:14]),
    (f"password: {RANDOM[:14]}", RANDOM[:14]),
    (f"helm install x . --set db.password={RANDOM[:12]},a=b", RANDOM[:12]),
    (f"git remote add o https://x-access-token:{GITHUB}@github.com/x/y", GITHUB),
    (f"# {GITHUB}", GITHUB),
    (f"# API_KEY={RANDOM[:32]}", RANDOM[:32]),
    (f"sshpass -p {RANDOM[:10]}! ssh host", f"{RANDOM[:10]}!"),
    (f"echo 'bob:{RANDOM[:10]}' | sudo chpasswd", RANDOM[:10]),
]


@pytest.mark.parametrize("path", [HISTORY, SETTINGS])
@pytest.mark.parametrize(("line", "secret"), SECRETS)
def test_a_secret_is_found(path: str, line: str, secret: str) -> None:
    item = judged(path, line)
    assert (item.level, item.code) == ("failed", "Secrets.Token")
    assert (item.evidence[0].path, item.evidence[0].line) == (path, 1)
    assert secret not in str(item.as_document())


STRENGTHS = [
    ("", Strength.NONE),
    ("$PASSWORD", Strength.NONE),
    ("op://vault/db/password9", Strength.NONE),
    ("getpass.getpass()", Strength.NONE),
    ("validation", Strength.WORD),
    ("RefreshHandler", Strength.WORD),
    ("P@ssw0rd!", Strength.WORD),
    ("1qaz@wsx!", Strength.WORD),
    ("20240101", Strength.WORD),
    ("Winter2024", Strength.MIXED),
    ("aB3$", Strength.MIXED),
    (RANDOM[:12], Strength.RANDOM),
    ("d41d8cd98f00b204e9800998ecf8427e", Strength.RANDOM),
]


@pytest.mark.parametrize(("value", "found"), STRENGTHS)
def test_what_a_value_may_be(value: str, found: Strength) -> None:
    assert strength(value) is found
