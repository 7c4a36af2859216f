#!/usr/bin/perl
# Makes vectors.json: requests as v3 and gateway.do sign them, and answers as
# Alipay signs them, from nothing but Perl and openssl. It shares no code with
# this module and was written from the protocol's description alone, so that a
# client that agrees with it is right for a reason of its own. Run it once, here:
#
#   perl vectors.pl > vectors.json
#
# The private keys are made in a temporary directory and thrown away with it.
use strict;
use warnings;
use utf8;
use Encode qw(encode decode);
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(encode_base64 decode_base64);

my $dir = tempdir(CLEANUP => 1);
for my $name (qw(app alipay other)) {
    system("openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $dir/$name.pem 2>/dev/null") == 0
        or system("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $dir/$name.pem 2>/dev/null") == 0
        or die "openssl genpkey";
}

sub slurp { my ($file) = @_; open my $in, '<:raw', $file or die "$file: $!"; local $/; return <$in> }
sub spill { my ($file, $bytes) = @_; open my $out, '>:raw', $file or die "$file: $!"; print $out $bytes; close $out }
sub bytes { return encode('UTF-8', $_[0]) }

# sign gives openssl's signature over bytes.
sub sign {
    my ($key, $bytes, $digest) = @_;
    $digest ||= 'sha256';
    spill("$dir/text", $bytes);
    system("openssl dgst -$digest -sign $dir/$key.pem -out $dir/sig $dir/text") == 0 or die "openssl dgst";
    return encode_base64(slurp("$dir/sig"), '');
}

sub public { my ($key) = @_; return scalar `openssl pkey -in $dir/$key.pem -pubout` }

# aes encrypts as Alipay does: AES-128-CBC, an IV of zeros, PKCS padding, base64.
my $aes = encode_base64('0123456789abcdef', '');
sub aes {
    my ($bytes) = @_;
    my ($key, $iv) = (unpack('H*', decode_base64($aes)), '0' x 32);
    spill("$dir/plain", $bytes);
    system("openssl enc -aes-128-cbc -K $key -iv $iv -in $dir/plain -out $dir/cipher") == 0 or die "openssl enc";
    return encode_base64(slurp("$dir/cipher"), '');
}

# pct percent-encodes everything but the unreserved characters of RFC 3986.
sub pct { my ($s) = @_; $s = bytes($s); $s =~ s/([^A-Za-z0-9_.~-])/sprintf('%%%02X', ord $1)/ge; return $s }

my $app_id = '2021000000000001';
my $millis = '1709946123456';              # 2024-03-09 01:02:03.456 UTC
my $bj     = '2024-03-09 09:02:03';
my $nonce  = '0123456789abcdef0123456789abcdef';

# --- v3 requests ---
my @v3;
sub v3 {
    my ($name, %c) = @_;
    my $auth = "app_id=$app_id";
    $auth .= ",app_cert_sn=$c{cert}" if $c{cert};
    $auth .= ",nonce=$nonce,timestamp=$millis";
    my $uri = $c{path};
    $uri .= '?' . join('&', map { pct($_->[0]) . '=' . pct($_->[1]) } @{ $c{query} }) if $c{query};
    my $body = defined $c{body} ? bytes($c{body}) : '';
    $body = aes($body) if $c{encrypt};
    my $string = "$auth\n$c{verb}\n$uri\n$body\n";
    $string .= "$c{token}\n" if $c{token};
    push @v3, {
        name => $name, method => $c{method}, params => $c{params} || $c{body}, cert => $c{cert} || '', root => $c{root} || '',
        token => $c{token} || '', encrypt => $c{encrypt} ? JSON::PP::true : JSON::PP::false,
        verb => $c{verb}, uri => $uri, body => decode('UTF-8', $body), auth => $auth,
        string => encode_base64($string, ''), sign => sign('app', $string),
        ($c{as} ? (path => $c{as}) : ()),
    };
}
my $base = '/v3/alipay/marketing';
v3('GET with a query', method => 'alipay.marketing.activity.voucher.query', verb => 'GET', path => "$base/activity/voucher/query",
    params => '{"activity_id":"2016042700826004508401111111","merchant_access_mode":"SELF_MODE"}',
    query => [['activity_id', '2016042700826004508401111111'], ['merchant_access_mode', 'SELF_MODE']]);
v3('POST with a body', method => 'alipay.marketing.activity.voucher.stop', verb => 'POST', path => "$base/activity/voucher/stop",
    body => '{"activity_id":"1","out_biz_no":"停止 & <b>\"/","merchant_access_mode":"AGENCY_MODE"}');
v3('DELETE is signed as DELETE', method => 'alipay.marketing.card.delete', verb => 'DELETE', path => "$base/card/delete",
    params => '{"out_serial_no":"s1","target_card_no":"0001","target_card_no_type":"BIZ_CARD","reason_code":"PRESENT","ext_info":"{\"new_card_no\":\"12345\",\" donee\":\"a+b c&d=%2B中\"}"}',
    query => [['out_serial_no', 's1'], ['target_card_no', '0001'], ['target_card_no_type', 'BIZ_CARD'], ['reason_code', 'PRESENT'],
        ['ext_info', '{"new_card_no":"12345"," donee":"a+b c&d=%2B中"}']]);
v3('certificate mode and a token', method => 'alipay.marketing.card.query', verb => 'POST', path => "$base/card/query",
    cert => '50fa7bc5dc305a4fbdbe166689ddc827', root => '687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6',
    token => '201510BBaabdb44d8fd04607abf8d5931ec75D84', body => '{"target_card_no":"28763","target_card_no_type":"D_QR_CODE"}');
v3('the id in the path', method => 'alipay.marketing.activity.query', verb => 'GET', path => "$base/activity/a%2Fb%20c%3F%E4%B8%AD",
    params => '{"activity_id":"a/b c?中","merchant_access_mode":"SELF_MODE"}', query => [['merchant_access_mode', 'SELF_MODE']]);
v3('PATCH with the id in the path', method => 'alipay.marketing.activity.ordervoucher.stop', verb => 'PATCH', path => "$base/ordervoucher/activity/77/stop",
    params => '{"activity_id":"77","out_biz_no":"b","merchant_access_mode":"SELF_MODE"}', body => '{"out_biz_no":"b","merchant_access_mode":"SELF_MODE"}');
v3('a token of the user in the query of a POST', method => 'alipay.marketing.card.open', verb => 'POST', path => "$base/card/open",
    params => '{"auth_token":"appopenBb64d181d0146481ab6a762c00714cC27","out_serial_no":"s","card_template_id":"t","card_user_info":{"user_uni_id_type":"UID","user_uni_id":"2088302463082075"},"card_ext_info":{"external_card_no":"EXT0001"}}',
    query => [['auth_token', 'appopenBb64d181d0146481ab6a762c00714cC27']],
    body => '{"out_serial_no":"s","card_template_id":"t","card_user_info":{"user_uni_id_type":"UID","user_uni_id":"2088302463082075"},"card_ext_info":{"external_card_no":"EXT0001"}}');
v3('encrypted, the ciphertext is signed', method => 'alipay.open.public.account.create', verb => 'POST', path => '/v3/alipay/open/public/account/create', encrypt => 1,
    body => '{"bind_account_no":"test001","display_name":"张三","from_user_id":"2088656734541243"}');
v3('a method that no table has, without parameters', method => 'alipay.user.info.share', verb => 'POST', path => '/v3/alipay/user/info/share', as => '/v3/alipay/user/info/share', body => '{}');

# --- requests of gateway.do ---
my @v2;
sub v2 {
    my ($name, %c) = @_;
    my %p = (app_id => $app_id, method => $c{method}, format => 'JSON', charset => $c{charset} || 'UTF-8', sign_type => 'RSA2',
        timestamp => $bj, version => '1.0', %{ $c{public} || {} });
    my $content = $c{content};
    $content = aes(bytes($content)) if $c{encrypt};
    $p{biz_content} = $content if defined $content;
    $p{encrypt_type} = 'AES' if $c{encrypt};
    $p{app_cert_sn} = $c{cert} if $c{cert};
    $p{alipay_root_cert_sn} = $c{root} if $c{root};
    $p{app_auth_token} = $c{token} if $c{token};
    my $string = bytes(join '&', map { "$_=$p{$_}" } grep { $p{$_} ne '' } sort keys %p); # names are ASCII: sort compares bytes
    push @v2, {
        name => $name, method => $c{method}, params => $c{params} || $c{content} || '', charset => $p{charset}, public => $c{public} || {},
        cert => $c{cert} || '', root => $c{root} || '', token => $c{token} || '', encrypt => $c{encrypt} ? JSON::PP::true : JSON::PP::false,
        string => encode_base64($string, ''), sign => sign('app', $string), wire => \%p,
    };
}
v2('a query', method => 'alipay.marketing.card.query', content => '{"target_card_no":"0000001","target_card_no_type":"BIZ_CARD","ext_info":"张三 +%2B&x=y"}');
v2('GBK is asked for in ASCII', method => 'alipay.marketing.card.query', charset => 'GBK',
    params => '{"target_card_no":"张😀","target_card_no_type":"D_BAR_CODE"}', content => '{"target_card_no":"\u5f20\ud83d\ude00","target_card_no_type":"D_BAR_CODE"}');
v2('certificate mode and a token', method => 'alipay.trade.query', cert => '50fa7bc5dc305a4fbdbe166689ddc827',
    root => '687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6', token => '201510BBaabdb44d8fd04607abf8d5931ec75D84', content => '{"out_trade_no":"@1"}');
v2('encrypted, the ciphertext is signed', method => 'alipay.trade.query', encrypt => 1, content => '{"out_trade_no":"1/2"}');
v2('names are sorted, not pairs; the empty is left out', method => 'alipay.system.oauth.token', public => { sub1 => 'x', sub => 'y', notify_url => '', code => 'a=b&c' });
v2('a user token is a public parameter', method => 'alipay.marketing.card.open', public => { auth_token => 'appopenBb64d181d0146481ab6a762c00714cC27' },
    params => '{"auth_token":"appopenBb64d181d0146481ab6a762c00714cC27","out_serial_no":"s","card_template_id":"t","card_user_info":{"user_uni_id_type":"UID","open_id":"o"},"card_ext_info":{"external_card_no":"E"}}',
    content => '{"out_serial_no":"s","card_template_id":"t","card_user_info":{"user_uni_id_type":"UID","open_id":"o"},"card_ext_info":{"external_card_no":"E"}}');

# --- answers of v3 ---
my @v3answers;
sub a3 {
    my ($name, %c) = @_;
    my $body = $c{bytes} // bytes($c{body});
    my $key = $c{key} || 'alipay';
    my $signed = $c{signed} // $body;
    my $at = $c{at} || $millis;
    push @v3answers, {
        name => $name, status => $c{status} || 200, timestamp => $at, nonce => $nonce, sn => $c{sn} || '',
        body => encode_base64($body, ''), sign => $c{sign} // sign($key, "$at\n$nonce\n$signed\n", $c{digest}) . ($c{more} || ''), want => $c{want} || 'accepted', data => $c{data} || '',
    };
}
my $node = '{"activity_id":"1","nested":{"sign":"no"},"text":"\u4e2d \"}{ 中 \/"}';
a3('plain', body => $node, data => $node);
a3('empty', body => '', status => 204, data => '{}');
a3('encrypted', bytes => aes(bytes($node)), data => $node);
a3('space around is signed too', body => " $node\n", data => $node);
a3('certificate of ours', body => $node, sn => 'aabbccdd', data => $node);
a3('certificate renewed with the same key', body => $node, sn => 'ffffffff', data => $node, want => 'rotated');
a3('tampered', body => '{"activity_id":"2"}', signed => '{"activity_id":"1"}', want => 'untrusted');
a3('another key', body => $node, key => 'other', want => 'untrusted');
a3('another certificate and key', body => $node, key => 'other', sn => 'ffffffff', want => 'untrusted');
a3('SHA-1', body => $node, digest => 'sha1', want => 'untrusted');
a3('unsigned', body => $node, sign => '', want => 'untrusted');
a3('signature null', body => $node, sign => 'null', want => 'untrusted');
a3('signature with something after it', body => $node, more => '!', want => 'untrusted');
a3('error whose signature is null', body => '{"code":"CARD_NOT_EXIT","message":"no"}', status => 400, sign => 'null', want => 'refused unsigned');
a3('signature of no base64', body => $node, sign => 'a!b', want => 'untrusted');
a3('old', body => $node, at => '1709942523456', want => 'untrusted');
a3('signed error, encrypted', bytes => aes('{"code":"CARD_NOT_EXIT","message":"no"}'), status => 400, want => 'refused');
a3('signed error, old', body => '{"code":"CARD_NOT_EXIT","message":"no"}', status => 400, at => '1709942523456', want => 'refused unsigned');
a3('signed error with the status of a success', body => '{"code":"CARD_NOT_EXIT","message":"no"}', want => 'refused');
a3('a code among data', body => '{"code":"A","activity_id":"1"}', data => '{"code":"A","activity_id":"1"}');
a3('signed error', body => '{"code":"CARD_NOT_EXIT","message":"no"}', status => 400, want => 'refused');

# --- answers of gateway.do ---
my @v2answers;
sub a2 {
    my ($name, %c) = @_;
    my $charset = $c{charset} || 'UTF-8';
    my $enc = $charset eq 'GBK' ? 'cp936' : 'UTF-8';
    my $node = encode($enc, $c{node}, Encode::FB_CROAK | Encode::LEAVE_SRC);
    my $signed = encode($enc, $c{signed} // $c{node}, Encode::FB_CROAK | Encode::LEAVE_SRC);
    if ($c{encrypt}) { $node = '"' . aes($node) . '"'; $node =~ s{/}{\\/}g if $c{slashes}; $signed = $node }
    my $name_of = $c{in} || 'alipay_marketing_card_query_response';
    my $sign = $c{sign} // sign($c{key} || 'alipay', $signed, $c{digest});
    my $tail = defined $c{sign} && $c{sign} eq '' ? '' : ',"sign":"' . $sign . '"';
    $tail .= ',"alipay_cert_sn":"' . $c{sn} . '"' if $c{sn};
    my $body = $c{before} ? '{' . substr("$tail,", 1) . "\"$name_of\": $node}" : "{\"$name_of\":$node$tail}";
    push @v2answers, { name => $name, charset => $charset, body => encode_base64($body, ''), want => $c{want} || 'accepted', data => $c{data} // '' };
}
my $ok = '"code":"10000","msg":"Success"';
my $plain = "{$ok,\"card_info\":{\"sign\":\"x\",\"a\":\"\\\"}]{[,\\\\\"},\"list\":[1,{\"b\":[]}],\"中\":\"张三\"}";
a2('plain', node => $plain, data => $plain);
a2('the signature first, and space', node => $plain, before => 1, data => $plain);
a2('space inside is signed', node => "{ $ok,\n\t\"a\" : 1 }", data => "{ $ok,\n\t\"a\" : 1 }");
a2('slashes escaped on the way', node => "{$ok,\"u\":\"https:\\/\\/a\\/b\"}", signed => "{$ok,\"u\":\"https://a/b\"}", data => "{$ok,\"u\":\"https://a/b\"}");
a2('slashes signed escaped', node => "{$ok,\"u\":\"https://a/b\"}", signed => "{$ok,\"u\":\"https:\\/\\/a\\/b\"}", data => "{$ok,\"u\":\"https:\\/\\/a\\/b\"}");
# In GBK the second byte of 乗 is a backslash, and those of 亄 and 亅 are brackets.
my $gbk = "{$ok,\"x\":\"" . join('', grep { my $b = encode('cp936', $_, Encode::FB_QUIET | Encode::LEAVE_SRC); length($b) == 2 && substr($b, 1) =~ /[\\{}\[\]]/ } map { chr } 0x4E00 .. 0x9FA5) . '"}';
a2('GBK, second bytes like JSON', node => $gbk, charset => 'GBK', data => $gbk);
a2('GBK, encrypted', node => $plain, charset => 'GBK', encrypt => 1, data => $plain);
a2('encrypted', node => $plain, encrypt => 1, data => $plain);
a2('encrypted, slashes escaped', node => $plain, encrypt => 1, slashes => 1, data => $plain);
a2('certificate of ours', node => $plain, sn => 'aabbccdd', data => $plain);
a2('certificate renewed with the same key', node => $plain, sn => 'ffffffff', data => $plain, want => 'rotated');
a2('signed error', node => '{"code":"40004","msg":"Business Failed","sub_code":"CARD_NOT_EXIT","sub_msg":"会员卡不存在"}', want => 'refused');
a2('unsigned error', node => '{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-app-id","sub_msg":"无效的AppID参数"}', sign => '', in => 'error_response', want => 'refused unsigned');
a2('tampered', node => "{$ok,\"a\":2}", signed => "{$ok,\"a\":1}", want => 'untrusted');
a2('a backslash put before a signed slash', node => "{$ok,\"u\":\"a\\\\/b\"}", signed => "{$ok,\"u\":\"a\\/b\"}", data => "{$ok,\"u\":\"a\\/b\"}");
a2('another key', node => $plain, key => 'other', want => 'untrusted');
a2('another certificate and key', node => $plain, key => 'other', sn => 'ffffffff', want => 'untrusted');
a2('SHA-1', node => $plain, digest => 'sha1', want => 'untrusted');
a2('unsigned success', node => $plain, sign => '', want => 'untrusted');
a2('unsigned, encrypted', node => $plain, encrypt => 1, sign => '', want => 'untrusted');
a2('success in error_response', node => $plain, in => 'error_response', want => 'refused');
a2('signature of no base64', node => $plain, sign => 'a!b', want => 'untrusted');

my $json = JSON::PP->new->canonical->pretty->utf8;
print $json->encode({
    origin => 'vectors.pl: Perl and openssl, no code of this module',
    app_id => $app_id, millis => $millis + 0, nonce => $nonce, aes => $aes,
    app_key => public('app'), alipay_key => public('alipay'),
    v3_requests => \@v3, v2_requests => \@v2, v3_answers => \@v3answers, v2_answers => \@v2answers,
});
