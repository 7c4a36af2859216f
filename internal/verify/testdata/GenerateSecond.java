import java.io.IOException;
import java.math.BigInteger;
import java.net.URLEncoder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.interfaces.RSAPrivateKey;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Writes the vectors second-*; generate-second.sh says what they are. */
public final class GenerateSecond {
    /** The rules of the signing string, as the package names them. */
    private enum Rule { KEEP, DROP, INSERT }

    private static final Charset GBK = Charset.forName("GBK");
    private static final Charset GB18030 = Charset.forName("GB18030");

    private static final KeyPair ONE = generate("second-key-1.pem", 2048);
    private static final KeyPair TWO = generate("second-key-2.pem", 3072);

    private static final String KEEP_EMPTY = "accepted keep-sign-type,keep-empty second-key-1.pem";

    public static void main(String[] args) throws Exception {
        rules();
        keysAndAlgorithms();
        values();
        paddings();
        aes();
        StringBuilder ids = new StringBuilder();
        for (Map.Entry<String, KeyPair> key : Map.of("second-key-1.pem", ONE, "second-key-2.pem", TWO).entrySet()) {
            byte[] sum = MessageDigest.getInstance("SHA-256").digest(key.getValue().getPublic().getEncoded());
            ids.append(key.getKey()).append(' ').append(HexFormat.of().formatHex(sum, 0, 8)).append('\n');
        }
        write("second-key-ids.list", ids.toString());
    }

    /** Form is a form about to be signed: fields in sending order. */
    private static final class Form {
        final Map<String, String> fields = new LinkedHashMap<>();
        Charset charset = StandardCharsets.UTF_8;

        Form with(String name, String value) {
            fields.put(name, value);
            return this;
        }

        Form in(Charset c) {
            charset = c;
            return with("charset", c.name());
        }

        /** The signing string by the documented recipe: a sorted map, without sign. */
        byte[] toSign(Rule rule, boolean dropEmpty) {
            Map<String, String> sorted = new TreeMap<>(fields);
            sorted.remove("sign");
            if (rule == Rule.DROP) {
                sorted.remove("sign_type");
            } else if (rule == Rule.INSERT) {
                sorted.put("sign_type", "RSA2");
            }
            StringBuilder text = new StringBuilder();
            for (Map.Entry<String, String> field : sorted.entrySet()) {
                if (dropEmpty && field.getValue().isEmpty()) {
                    continue;
                }
                text.append(text.length() > 0 ? "&" : "").append(field.getKey()).append('=').append(field.getValue());
            }
            return text.toString().getBytes(charset);
        }

        Form signed(KeyPair key, String algorithm, Rule rule, boolean dropEmpty) throws GeneralSecurityException {
            return with("sign", sign(key, algorithm, toSign(rule, dropEmpty)));
        }

        Form signed() throws GeneralSecurityException {
            return signed(ONE, "SHA256withRSA", Rule.KEEP, false);
        }

        String encoded() {
            StringBuilder text = new StringBuilder();
            for (Map.Entry<String, String> field : fields.entrySet()) {
                text.append(text.length() > 0 ? "&" : "").append(URLEncoder.encode(field.getKey(), charset)).append('=')
                    .append(URLEncoder.encode(field.getValue(), charset));
            }
            return text.toString();
        }
    }

    /** A message as Alipay would send it, still without a signature. */
    private static Form message() {
        return new Form()
            .with("charset", "UTF-8")
            .with("biz_content", "{\"template_id\":\"20200312000000000414103000300846\",\"biz_card_no\":\"000001\",\"success\":\"true\"}")
            .with("utc_timestamp", "1709946123456")
            .with("sign", "")
            .with("app_id", "2021000000000001")
            .with("version", "1.1")
            .with("sign_type", "RSA2")
            .with("notify_id", "2024030900222090203000000000000002")
            .with("msg_method", "alipay.user.opencard.result.notify");
    }

    private static Form withoutType(Form form) {
        form.fields.remove("sign_type");
        return form;
    }

    private static void rules() throws Exception {
        accepted("keep", "sign_type is signed as sent", KEEP_EMPTY, message().signed());
        accepted("drop", "sign_type is sent and not signed", "accepted drop-sign-type,keep-empty second-key-1.pem",
            message().signed(ONE, "SHA256withRSA", Rule.DROP, false));
        accepted("insert", "sign_type is signed and not sent", "accepted insert-sign-type,keep-empty second-key-1.pem",
            withoutType(message().signed(ONE, "SHA256withRSA", Rule.KEEP, false)));
        accepted("no-sign-type", "no sign_type at all", KEEP_EMPTY, withoutType(message()).signed());
        accepted("keep-empty", "empty fields are signed, in front, in the middle and at the end", KEEP_EMPTY,
            message().with("a", "").with("msg_uid", "").with("z", "").signed());
        accepted("keep-drop-empty", "empty fields are sent and not signed", "accepted keep-sign-type,drop-empty second-key-1.pem",
            message().with("a", "").with("msg_uid", "").with("z", "").signed(ONE, "SHA256withRSA", Rule.KEEP, true));
        accepted("drop-drop-empty", "neither sign_type nor empty fields are signed", "accepted drop-sign-type,drop-empty second-key-1.pem",
            message().with("a", "").signed(ONE, "SHA256withRSA", Rule.DROP, true));
        accepted("order", "names that begin alike, and capitals before small letters", KEEP_EMPTY,
            message().with("ab", "1").with("a_b", "2").with("aB", "3").with("a", "4").with("a-b", "5").with("a.b", "6").with("Z", "7")
                .with("a1", "8").with("abc", "9").signed());
    }

    private static void keysAndAlgorithms() throws Exception {
        vector("accepted-second-of-two", "keys of 2048 and 3072 bits, the second one fits", "second-key-1.pem second-key-2.pem", "RSA2",
            "accepted keep-sign-type,keep-empty second-key-2.pem", message().signed(TWO, "SHA256withRSA", Rule.KEEP, false).encoded());
        vector("accepted-rsa", "the legacy algorithm where it is configured", "second-key-1.pem", "RSA2 RSA", KEEP_EMPTY,
            message().with("sign_type", "RSA").signed(ONE, "SHA1withRSA", Rule.KEEP, false).encoded());
        vector("refused-wrong-key", "the key of nobody here", "second-key-1.pem key-1.pem key-2.pem", "RSA2", "signature",
            message().signed(generate(null, 2048), "SHA256withRSA", Rule.KEEP, false).encoded());
        vector("refused-wrong-key-size", "a key of 3072 bits where 2048 are configured", "second-key-1.pem", "RSA2", "signature_format",
            message().signed(TWO, "SHA256withRSA", Rule.KEEP, false).encoded());
        for (String algorithm : new String[] {"SHA1withRSA", "SHA224withRSA", "SHA384withRSA", "SHA512withRSA", "MD5withRSA"}) {
            refused(algorithm.toLowerCase().replace("with", "-with-"), "a good signature by the right key, with another digest", "signature",
                message().signed(ONE, algorithm, Rule.KEEP, false));
        }
        Signature pss = Signature.getInstance("RSASSA-PSS", "SunRsaSign");
        pss.setParameter(new java.security.spec.PSSParameterSpec("SHA-256", "MGF1", java.security.spec.MGF1ParameterSpec.SHA256, 32, 1));
        pss.initSign(ONE.getPrivate());
        pss.update(message().toSign(Rule.KEEP, false));
        refused("pss", "the right digest and key, the other padding", "signature",
            message().with("sign", Base64.getEncoder().encodeToString(pss.sign())));
    }

    private static void values() throws Exception {
        StringBuilder ascii = new StringBuilder();
        for (char c = 0; c < 128; c++) {
            ascii.append(c);
        }
        accepted("ascii", "every byte of ASCII in one value", KEEP_EMPTY, message().with("passback_params", ascii.toString()).signed());
        accepted("utf-8", "characters of one to four bytes", KEEP_EMPTY,
            message().with("subject", "a\u00e9\u4e2d\ud83d\ude00 \u65e0\u95e8\u69db\u5238").signed());
        accepted("gbk", "Chinese in GBK: the bytes of the declared charset are signed", KEEP_EMPTY,
            message().in(GBK).with("subject", "\u65e0\u95e8\u69db\u5238\uff1a10\u5143").signed());
        accepted("gb18030", "a character that only the four bytes of GB18030 can write", KEEP_EMPTY,
            message().in(GB18030).with("subject", "\u4e2d\ud840\udc0b\u6587").signed());
        Form wrong = message().with("charset", "GBK").with("subject", "\u4e2d\u6587").signed();
        wrong.charset = GBK;
        refused("charset", "signed as UTF-8, sent as GBK", "signature", wrong);
        accepted("percent", "a value that was percent-encoded before is decoded once", KEEP_EMPTY,
            message().with("passback_params", URLEncoder.encode("a=1&b=\u4e2d +%25", StandardCharsets.UTF_8)).signed());
        refused("tampered", "one character more in one value", "signature", message().signed().with("notify_id", "20240309002220902030000000000000021"));
        String sign = message().signed().fields.get("sign");
        refused("sign-url-base64", "the alphabet for URLs", "signature_format",
            message().with("sign", sign.replace('+', '-').replace('/', '_').replaceFirst("^.", "-")));
        refused("sign-unpadded", "base64 without its end", "signature_format", message().with("sign", sign.replace("=", "")));
        refused("sign-lines", "base64 in lines of 76, as MIME has it", "signature_format", message().with("sign",
            Base64.getMimeEncoder().encodeToString(Base64.getDecoder().decode(sign))));
        refused("sign-twice", "a signature in base64 of base64", "signature_format", message().with("sign",
            Base64.getEncoder().encodeToString(sign.getBytes(StandardCharsets.US_ASCII))));
        refused("sign-hex", "a signature in hex", "signature_format", message().with("sign",
            HexFormat.of().formatHex(Base64.getDecoder().decode(sign))));
    }

    /** PKCS #1 v1.5 written by hand: one spelling is right, and its neighbours must not be. */
    private static void paddings() throws Exception {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(message().toSign(Rule.KEEP, false));
        byte[] info = HexFormat.of().parseHex("3031300d060960864801650304020105000420");
        byte[] noNull = HexFormat.of().parseHex("302f300b0609608648016503040201" + "0420");
        byte[] right = block(1, 256, info, hash, new byte[0]);
        accepted("padding", "the padding of PKCS #1 v1.5, written by hand", KEEP_EMPTY, message().with("sign", raw(right)));
        refused("padding-no-null", "the digest's name without its NULL", "signature",
            message().with("sign", raw(block(1, 256, noNull, hash, new byte[0]))));
        refused("padding-garbage", "eight bytes of padding, and what anybody likes at the end", "signature",
            message().with("sign", raw(block(1, 256, info, hash, new byte[256 - 3 - 8 - info.length - hash.length]))));
        refused("padding-encryption", "the padding for encryption", "signature", message().with("sign", raw(block(2, 256, info, hash, new byte[0]))));
        refused("padding-bare", "the digest without its name", "signature", message().with("sign", raw(block(1, 256, new byte[0], hash, new byte[0]))));
        byte[] zero = right.clone();
        zero[1] = 0;
        refused("padding-type-0", "the padding of type 0", "signature", message().with("sign", raw(zero)));
        byte[] one = new byte[256];
        one[255] = 1;
        refused("sign-one", "the number one, whose every power is one", "signature",
            message().with("sign", Base64.getEncoder().encodeToString(one)));
        refused("sign-zero", "the number zero", "signature", message().with("sign", Base64.getEncoder().encodeToString(new byte[256])));
        refused("sign-maximum", "the largest number of 256 bytes", "signature",
            message().with("sign", Base64.getEncoder().encodeToString(filled(256))));
        outOfRange();
    }

    /**
     * The signature plus the modulus has the same power, and verifies where nobody looks at the
     * range. Not every such sum has room in 256 bytes, so one that does is looked for.
     */
    private static void outOfRange() throws Exception {
        BigInteger modulus = ((RSAPrivateKey) ONE.getPrivate()).getModulus();
        for (int i = 0;; i++) {
            Form form = message().with("notify_id", "out_of_range_" + i).signed();
            BigInteger sum = new BigInteger(1, Base64.getDecoder().decode(form.fields.get("sign"))).add(modulus);
            if (sum.bitLength() <= 2048) {
                byte[] bytes = sum.toByteArray();
                bytes = Arrays.copyOfRange(bytes, bytes.length - 256, bytes.length);
                refused("sign-out-of-range", "the signature plus the modulus", "signature",
                    form.with("sign", Base64.getEncoder().encodeToString(bytes)));
                return;
            }
        }
    }

    private static byte[] filled(int size) {
        byte[] out = new byte[size];
        Arrays.fill(out, (byte) 0xff);
        return out;
    }

    /** 00 TYPE FF... 00 INFO HASH REST, of a size. */
    private static byte[] block(int type, int size, byte[] info, byte[] hash, byte[] rest) {
        byte[] out = filled(size);
        int at = size - info.length - hash.length - rest.length;
        out[0] = 0;
        out[1] = (byte) type;
        out[at - 1] = 0;
        System.arraycopy(info, 0, out, at, info.length);
        System.arraycopy(hash, 0, out, at + info.length, hash.length);
        System.arraycopy(rest, 0, out, at + info.length + hash.length, rest.length);
        return out;
    }

    private static String raw(byte[] block) {
        RSAPrivateKey key = (RSAPrivateKey) ONE.getPrivate();
        byte[] number = new BigInteger(1, block).modPow(key.getPrivateExponent(), key.getModulus()).toByteArray();
        byte[] out = new byte[256];
        int length = Math.min(number.length, out.length);
        System.arraycopy(number, number.length - length, out, out.length - length, length);
        return Base64.getEncoder().encodeToString(out);
    }

    private static String sign(KeyPair key, String algorithm, byte[] text) throws GeneralSecurityException {
        Signature signature = Signature.getInstance(algorithm, "SunRsaSign");
        signature.initSign(key.getPrivate());
        signature.update(text);
        return Base64.getEncoder().encodeToString(signature.sign());
    }

    private static void aes() throws Exception {
        byte[] key = new byte[16];
        new SecureRandom().nextBytes(key);
        StringBuilder text = new StringBuilder("key: " + Base64.getEncoder().encodeToString(key) + "\n");
        // Lengths around the block, where padding goes wrong.
        for (int length : new int[] {2, 14, 15, 16, 17, 31, 32, 33}) {
            String plain = "{" + "x".repeat(length - 2) + "}";
            Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding", "SunJCE");
            cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new IvParameterSpec(new byte[16]));
            byte[] sealed = cipher.doFinal(plain.getBytes(StandardCharsets.UTF_8));
            text.append(plain).append(' ').append(Base64.getEncoder().encodeToString(sealed)).append('\n');
        }
        write("second-aes.list", text.toString());
    }

    private static KeyPair generate(String file, int bits) {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA", "SunRsaSign");
            generator.initialize(bits);
            KeyPair key = generator.generateKeyPair();
            if (file != null) {
                write(file, "TEST-ONLY: made by generate-second.sh, the private half is gone\n-----BEGIN PUBLIC KEY-----\n"
                    + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key.getPublic().getEncoded()) + "\n-----END PUBLIC KEY-----\n");
            }
            return key;
        } catch (GeneralSecurityException | IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void accepted(String name, String comment, String expect, Form form) throws IOException {
        vector("accepted-" + name, comment, "second-key-1.pem", "RSA2", expect, form.encoded());
    }

    private static void refused(String name, String comment, String failure, Form form) throws IOException {
        vector("refused-" + name, comment, "second-key-1.pem", "RSA2", failure, form.encoded());
    }

    private static void vector(String name, String comment, String keys, String types, String expect, String body) throws IOException {
        write("second-" + name + ".txt",
            "comment: " + comment + "\nkeys:    " + keys + "\ntypes:   " + types + "\nexpect:  " + expect + "\n\n" + body + "\n");
    }

    private static void write(String file, String text) throws IOException {
        Files.writeString(Path.of(file), text);
    }
}
