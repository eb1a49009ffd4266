//===- DimTest.cpp - Sizes as polynomials of names --------------------------------------------------------------===//

#include "rondo/Support/Dim.h"
#include <gtest/gtest.h>

using rondo::Dim;

static Dim dim(llvm::StringRef text) {
  auto result = Dim::parse(text);
  EXPECT_TRUE(result) << text.str();
  return result.value_or(Dim(-1));
}

TEST(DimTest, EqualPolynomialsAreIdentical) {
  EXPECT_EQ(dim("K+K"), dim("2*K"));
  EXPECT_EQ(dim("K*(K+1)/2"), dim("(K*K + K)/2"));
  EXPECT_EQ(dim("K*V"), dim("V*K"));
  EXPECT_EQ(dim("K-K"), Dim(0));
  EXPECT_EQ(dim("K/2+K/2"), dim("K"));
  EXPECT_NE(dim("K"), dim("V"));
  EXPECT_NE(dim("K/2"), dim("K"));
}

TEST(DimTest, Arithmetic) {
  Dim K = Dim::name("K");
  EXPECT_EQ(K * Dim(2) - K, K);
  EXPECT_EQ(K * K + K, dim("K*(K+1)"));
  EXPECT_EQ(K.dividedBy(Dim(2)), dim("K/2"));
  EXPECT_EQ(dim("-K"), Dim(0) - K);
}

TEST(DimTest, DivisionOnlyByNumbers) {
  EXPECT_FALSE(Dim::name("K").dividedBy(Dim::name("V")));
  EXPECT_FALSE(Dim::name("K").dividedBy(Dim(0)));
  EXPECT_FALSE(Dim::parse("K/V"));
  EXPECT_FALSE(Dim::parse("K/0"));
}

TEST(DimTest, RefusesWhatIsNoSize) {
  for (llvm::StringRef text : {"", "K+", "(K", "K)", "2K", "K V", "K**2", "K,V", "1.5"})
    EXPECT_FALSE(Dim::parse(text)) << text.str();
}

TEST(DimTest, Text) {
  EXPECT_EQ(dim(" 2 * K ").str(), "2*K");
  EXPECT_EQ(dim("K*(K+1)/2").str(), "(K*K+K)/2");
  EXPECT_EQ(dim("3+K").str(), "K+3");
  EXPECT_EQ(Dim(0).str(), "0");
  EXPECT_TRUE(dim("K_1").isSimple());
  EXPECT_TRUE(Dim(128).isSimple());
  EXPECT_FALSE(dim("2*K").isSimple());
  EXPECT_FALSE(Dim(-1).isSimple());
}

TEST(DimTest, TextParsesBackToTheSameSize) {
  for (llvm::StringRef text : {"K", "128", "K*(K+1)/2", "K/3-V/2", "-K+V", "K*K*V+2", "2*K/3"})
    EXPECT_EQ(dim(dim(text).str()), dim(text)) << text.str();
}

TEST(DimTest, Constants) {
  EXPECT_EQ(dim("(4+2)*3").getConstant(), 18);
  EXPECT_EQ(dim("0").getConstant(), 0);
  EXPECT_FALSE(dim("1/2").getConstant());
  EXPECT_FALSE(dim("K").getConstant());
}

TEST(DimTest, EvaluateAndSubstitute) {
  llvm::StringMap<int64_t> sizes = {{"K", 128}, {"V", 63}};
  EXPECT_EQ(dim("K*(K+1)/2").evaluate(sizes), 8256);
  EXPECT_EQ(dim("K-2*V").evaluate(sizes), 2);
  EXPECT_FALSE(dim("V/2").evaluate(sizes)) << "no whole number";
  EXPECT_FALSE(dim("V-K").evaluate(sizes)) << "negative";
  EXPECT_FALSE(dim("M").evaluate(sizes)) << "unknown name";
  EXPECT_EQ(dim("K*M").substitute(sizes), dim("128*M"));
}

TEST(DimTest, Names) {
  EXPECT_EQ(dim("V*K+K/2").names(), (std::vector<std::string>{"K", "V"}));
  EXPECT_TRUE(Dim(5).names().empty());
  EXPECT_TRUE(dim("K-K").names().empty());
}
